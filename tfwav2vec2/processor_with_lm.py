"""Waveforms to input values, text to labels, and logits to text by a beam search with a language model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.batching import to_numpy
from tfwav2vec2.language.alphabet import (
    BLANK,
    SPACE,
    UNKNOWN,
    UNKNOWN_PIECE,
    Alphabet,
    is_blank_name,
    is_unknown_name,
)
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.outputs import ModelOutput
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.weights.files import take_hub_options

if TYPE_CHECKING:
    from tfwav2vec2.language.beam_search import Beam, BeamSearchDecoderCTC
    from tfwav2vec2.language.language_model import LanguageModel

logger = logging.getLogger(__name__)

# What fills the rows of shorter clips where logits are padded to one length (reference: ``DataCollator`` and ``Trainer``).
PADDED_LOGIT = -100.0

# Weights that from_pretrained takes; the boundary goes by its name in attrs.json there, as in the reference.
_WEIGHTS = {name: name for name in ("alpha", "beta", "unk_score_offset")} | {
    "score_boundary": "lm_score_boundary"
}
_LOADER_OPTIONS = ("trust_remote_code", "_from_auto")


class Wav2Vec2DecoderWithLMOutput(ModelOutput):
    """Transcripts with their scores (reference: the class of the same name).

    ``text``; ``logit_score``, the logarithm of the probability of its frames; ``lm_score``, the same with the language
    model's and the hotwords' scores, by which transcripts are ranked; ``word_offsets``, a list of
    ``{"word", "start_offset", "end_offset"}`` in frames, the end exclusive, or None. Of several transcripts lists of these,
    the best first, and of a batch lists of that.
    """

    fields = ("text", "logit_score", "lm_score", "word_offsets")


class Wav2Vec2ProcessorWithLM(Wav2Vec2Processor):
    """A feature extractor, a tokenizer and a decoder (reference: ``Wav2Vec2ProcessorWithLM`` of transformers 4.57).

    The search is described in :mod:`tfwav2vec2.language.beam_search`; it needs the extra ``tfwav2vec2[lm]``.

    Args:
        feature_extractor: prepares waveforms.
        tokenizer: encodes text.
        decoder: finds texts in logits; :func:`~tfwav2vec2.build_ctcdecoder` makes one.

    Raises:
        TypeError: where one of them is of another class.
        ValueError: where the tokenizer has a token that the decoder's alphabet lacks.
    """

    def __init__(
        self,
        feature_extractor: Wav2Vec2FeatureExtractor,
        tokenizer: Wav2Vec2CTCTokenizer,
        decoder: BeamSearchDecoderCTC,
    ) -> None:
        from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC

        super().__init__(feature_extractor, tokenizer)
        if not isinstance(decoder, BeamSearchDecoderCTC):
            raise TypeError(
                f"decoder must be a BeamSearchDecoderCTC of this package; got a {type(decoder).__module__}."
                f"{type(decoder).__name__}: make one with tfwav2vec2.build_ctcdecoder"
            )
        missing = self.get_missing_alphabet_tokens(decoder, tokenizer)
        if missing:
            raise ValueError(
                f"The tokenizer has the tokens {', '.join(map(repr, sorted(missing)))}, which the decoder's alphabet lacks; make "
                "the decoder of the tokenizer's vocabulary, in the order of its ids"
            )
        special = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token)
        self.decoder = decoder.without({str(token) for token in special if token is not None})

    @staticmethod
    def get_missing_alphabet_tokens(
        decoder: BeamSearchDecoderCTC, tokenizer: Wav2Vec2CTCTokenizer
    ) -> set[str]:
        """The tokenizer's tokens that the decoder's alphabet lacks."""
        alphabet: Alphabet = decoder.alphabet
        unknown = UNKNOWN_PIECE if alphabet.is_bpe else UNKNOWN

        def label(token: str) -> str:
            if is_blank_name(token) or token == tokenizer.pad_token:
                return BLANK
            if token == tokenizer.word_delimiter_token:
                return SPACE
            return unknown if is_unknown_name(token) else token

        return {label(token) for token in tokenizer.get_vocab()} - set(alphabet.labels)

    @property
    def language_model(self) -> LanguageModel | None:
        """The decoder's language model."""
        return self.decoder.language_model

    def decode(
        self,
        logits: Any,
        beam_width: int | None = None,
        beam_prune_logp: float | None = None,
        token_min_logp: float | None = None,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
        lm_score_boundary: bool | None = None,
        output_word_offsets: bool = False,
        n_best: int = 1,
        lexicon_bound: bool = False,
    ) -> Wav2Vec2DecoderWithLMOutput:
        """The likeliest texts of one recording.

        Args:
            logits: (frames, vocab).
            beam_width: how many prefixes are followed; 100 by default.
            beam_prune_logp: how far, at most, a prefix may be behind the best one (a logarithm); -10 by default.
            token_min_logp: tokens below this logarithm are left out, except the likeliest of each frame; -5 by default.
            hotwords: words and phrases to favour, which the language model need not know.
            hotword_weight: what each of them adds to the score; 10 by default.
            alpha, beta, unk_score_offset, lm_score_boundary: the language model's weights
                (:class:`~tfwav2vec2.language.language_model.LanguageModel`), for this and, as in the reference, later calls.
                Numbers must be of the type ``float``.
            output_word_offsets: whether to return the words' frames.
            n_best: how many texts to return. 1 returns a text; more, a list, which is shorter where fewer were found.
            lexicon_bound: whether texts may hold nothing but the language model's listed words and hotwords.

        Raises:
            ValueError: for logits of another shape or with NaN, and for numbers out of range.
            ImportError: where numba is not installed.
        """
        self.decoder.reset_params(alpha, beta, unk_score_offset, lm_score_boundary)
        beams = self.decoder.decode_beams(
            logits,
            **_given(beam_width, beam_prune_logp, token_min_logp, hotword_weight),
            hotwords=hotwords,
            lexicon_bound=lexicon_bound,
            n_best=n_best,
        )
        if n_best > len(beams):
            logger.info("%s texts were asked for, and %s found", n_best, len(beams))
        return Wav2Vec2DecoderWithLMOutput.of(**_fields(beams, output_word_offsets, n_best))

    def batch_decode(
        self,
        logits: Any,
        pool: Any = None,
        num_processes: int | None = None,
        beam_width: int | None = None,
        beam_prune_logp: float | None = None,
        token_min_logp: float | None = None,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
        lm_score_boundary: bool | None = None,
        output_word_offsets: bool = False,
        n_best: int = 1,
        lexicon_bound: bool = False,
    ) -> Wav2Vec2DecoderWithLMOutput:
        """The likeliest texts of several recordings, searched on all processors by threads, on any operating system.

        Args:
            logits: (batch, frames, vocab), or a list of (frames, vocab). Rows that hold -100, which is what shorter clips are
                filled up with, are left out.
            pool: a ``multiprocessing.Pool`` as the reference takes it; not needed and not used.
            num_processes: how many recordings are searched at the same time; by default as many as there are processors.
                They are threads of this process.
            others: as for :meth:`decode`.

        Returns:
            Lists of what :meth:`decode` returns.

        Raises:
            ValueError, ImportError: as :meth:`decode` does.
        """
        if num_processes is not None and (not isinstance(num_processes, int) or num_processes < 1):
            raise ValueError(f"num_processes must be a whole number from 1 on; got {num_processes!r}")
        self.decoder.reset_params(alpha, beta, unk_score_offset, lm_score_boundary)
        rows = _recordings(logits)
        decoded = self.decoder.decode_beams_batch(
            [row[(row != PADDED_LOGIT).all(axis=-1)] for row in rows],
            num_threads=num_processes,
            **_given(beam_width, beam_prune_logp, token_min_logp, hotword_weight),
            hotwords=hotwords,
            lexicon_bound=lexicon_bound,
            n_best=n_best,
        )
        results = [_fields(beams, output_word_offsets, n_best) for beams in decoded]
        columns = ("text", "logit_score", "lm_score", *(("word_offsets",) if output_word_offsets else ()))
        return Wav2Vec2DecoderWithLMOutput((name, [result[name] for result in results]) for name in columns)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Read all three from a folder or from the hub.

        Args:
            name_or_path: a folder, or a name on the hub such as ``patrickvonplaten/wav2vec2-base-100h-with-lm``.
            options: the hub's options (:data:`tfwav2vec2.weights.files.HUB_OPTIONS`); ``unigram_encoding``, by default
                ``"utf-8"``; ``alpha``, ``beta``, ``unk_score_offset`` and ``score_boundary``, which take precedence over
                ``attrs.json``; and fields of the feature extractor and the tokenizer.

        Raises:
            OSError: where a file is missing or damaged.
            TypeError, ValueError: where the files do not fit one another.
            ImportError: where a KenLM binary is to be read and ``kenlm`` is not installed, or numba is not.
        """
        from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC
        from tfwav2vec2.language.lm_files import find_decoder

        weights = {_WEIGHTS[name]: options.pop(name) for name in _WEIGHTS if name in options}
        encoding = options.pop("unigram_encoding", "utf-8")
        for name in _LOADER_OPTIONS:
            options.pop(name, None)
        fields = dict(options)
        hub = take_hub_options(options)
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(name_or_path, **fields)
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(name_or_path, **fields)
        decoder = BeamSearchDecoderCTC.load_from_dir(find_decoder(name_or_path, **hub), encoding)
        decoder.reset_params(**weights)
        return cls(extractor, tokenizer, decoder)

    def save_pretrained(
        self, save_directory: str | Path, push_to_hub: bool = False, **options: Any
    ) -> list[str]:
        """Write the files of all three into a folder, which is made if need be; returns their paths.

        Raises:
            OSError: where the folder holds another language model, or cannot be written to.
        """
        paths = super().save_pretrained(save_directory)
        paths += self.decoder.save_to_dir(save_directory)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", Path(save_directory).name), **options)
        return paths


def _recordings(logits: Any) -> list[np.ndarray]:
    """The recordings of a batch, each (frames, vocab).

    Raises:
        ValueError: for another shape: one recording would pass for several of one frame each.
    """
    shape = getattr(logits, "shape", None)
    rows = [to_numpy(row) for row in logits] if shape is None or len(shape) > 0 else []
    wrong = [row.shape for row in rows if row.ndim != 2] if rows or shape is None else [()]
    if wrong:
        given = tuple(shape) if shape is not None else f"a list of {wrong[0]}"
        raise ValueError(
            f"Logits must be (batch, frames, vocab), or a list of (frames, vocab); got {given}: decode takes a single recording"
        )
    return rows


def _given(
    beam_width: int | None,
    beam_prune_logp: float | None,
    token_min_logp: float | None,
    hotword_weight: float | None,
) -> dict[str, Any]:
    """The arguments that are not left to the decoder's defaults."""
    options = {
        "beam_width": beam_width,
        "beam_prune_logp": beam_prune_logp,
        "token_min_logp": token_min_logp,
        "hotword_weight": hotword_weight,
    }
    return {name: value for name, value in options.items() if value is not None}


def _fields(beams: list[Beam], output_word_offsets: bool, n_best: int) -> dict[str, Any]:
    """The output of one recording: of a single text its values, of several lists."""
    columns: dict[str, list[Any]] = {
        "text": [beam.text for beam in beams],
        "logit_score": [beam.logit_score for beam in beams],
        "lm_score": [beam.lm_score for beam in beams],
    }
    if output_word_offsets:
        columns["word_offsets"] = [
            [
                {"word": word, "start_offset": start, "end_offset": end}
                for word, (start, end) in beam.word_frames
            ]
            for beam in beams
        ]
    return {name: values[0] for name, values in columns.items()} if n_best == 1 else dict(columns)
