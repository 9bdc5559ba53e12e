"""Prefix beam search over the frames of a CTC model, with words scored by an n-gram model (Hannun et al. 2014, arXiv 1408.2873).

The same texts and scores as pyctcdecode 0.5, which transformers uses, with these differences:

- ``<s>``, ``</s>`` and the unknown token never become a part of a text: their probability stays unused.
- Scores are added in float64 whatever the logits are.
- After the piece ``"▁"`` alone the next piece opens the word in that beam; in pyctcdecode it does so in whichever beam is
  looked at next.

A search that is bound to a lexicon has no counterpart there. A word that has only begun is scored by the likeliest word that
begins so (language model look-ahead; Ortmanns, Ney and Eiden 1996), so that beams inside words compare with those between
them, and of beams with the same future (the language model's state, the part, the last label) only the best is followed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfwav2vec2.language import beam_core as core
from tfwav2vec2.language.alphabet import Alphabet
from tfwav2vec2.language.beam_records import Labels, Settings
from tfwav2vec2.language.character_trie import CharacterTrie, best_below, build_trie
from tfwav2vec2.language.hotwords import hotword_trie
from tfwav2vec2.language.language_model import (
    DEFAULT_ALPHA,
    DEFAULT_BETA,
    DEFAULT_SCORE_BOUNDARY,
    DEFAULT_UNK_SCORE_OFFSET,
    LARGEST_WEIGHT,
    LN_10,
    LanguageModel,
)
from tfwav2vec2.language.lm_files import open_word_model, read_decoder, write_decoder
from tfwav2vec2.language.log_probabilities import log_probabilities
from tfwav2vec2.language.ngram_lm import NGramArrays, NGramModel
from tfwav2vec2.language.prefixes import Prefixes
from tfwav2vec2.processors import processors

logger = logging.getLogger(__name__)

DEFAULT_BEAM_WIDTH = 100
DEFAULT_BEAM_PRUNE_LOGP = -10.0
DEFAULT_TOKEN_MIN_LOGP = -5.0
DEFAULT_HOTWORD_WEIGHT = 10.0

# More beams than anybody searches with; their memory is set aside before the search.
_MOST_BEAMS = 2**16

# The room for new prefixes is made for so many beams at a time.
_BEAMS_AT_ONCE = 2**13

_NOTHING_AHEAD = np.zeros(1, np.float32)
_NO_NGRAMS = NGramArrays(
    np.zeros(1, np.int32),
    np.zeros(1, np.float32),
    np.zeros(1, np.int32),
    np.ones(2, np.int32),
    np.zeros(1, np.float32),
)


class Beam(NamedTuple):
    """A transcript that a search found.

    ``text``; ``word_frames``, for each word ``(word, (first frame, frame after its last))``; ``logit_score``, the logarithm of
    the probability of its frames; ``lm_score``, the same with the language model's and the hotwords' scores, by which beams
    are ranked.
    """

    text: str
    word_frames: list[tuple[str, tuple[int, int]]]
    logit_score: float
    lm_score: float


class BeamSearchDecoderCTC:
    """Finds the likeliest transcripts of CTC logits (reference: ``pyctcdecode.BeamSearchDecoderCTC``).

    A decoder may be used from several threads at once.

    Args:
        alphabet: the labels of the model's outputs.
        language_model: scores words; without one the frames and the hotwords alone decide.

    Raises:
        ValueError: where the labels cannot spell the language model's words.
    """

    def __init__(self, alphabet: Alphabet, language_model: LanguageModel | None = None) -> None:
        self.alphabet = alphabet
        self.language_model = language_model
        self._letters = "".join(sorted(set("".join(alphabet.spellings()))))
        self._labels = _labels(alphabet, self._letters)
        self._lexicon: CharacterTrie | None = None
        self._ahead: np.ndarray | None = None
        self._lock = threading.Lock()
        if language_model is not None:
            alphabet.check_words(language_model.unigrams or language_model.vocabulary())

    def reset_params(
        self,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
        lm_score_boundary: bool | None = None,
    ) -> None:
        """Change the language model's weights, as far as they are given, for this and later searches."""
        if self.language_model is not None:
            self.language_model.reset_params(
                alpha=alpha, beta=beta, unk_score_offset=unk_score_offset, score_boundary=lm_score_boundary
            )

    def without(self, labels: Collection[str]) -> BeamSearchDecoderCTC:
        """This decoder, or where ``labels`` could become text in it, one with the same language model in which they cannot."""
        if self.alphabet.silent.issuperset(set(labels) & set(self.alphabet.labels)):
            return self
        alphabet = Alphabet(self.alphabet.labels, self.alphabet.is_bpe, self.alphabet.silent | set(labels))
        return BeamSearchDecoderCTC(alphabet, self.language_model)

    def decode_beams(
        self,
        logits: Any,
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_BEAM_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_TOKEN_MIN_LOGP,
        hotwords: Iterable[str] | CharacterTrie | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
        lexicon_bound: bool = False,
        n_best: int | None = None,
    ) -> list[Beam]:
        """The likeliest transcripts of one recording, the best first.

        Args:
            logits: (frames, labels), logits, log probabilities or probabilities.
            beam_width: how many prefixes are followed.
            beam_prune_logp: how far, at most, a prefix may be behind the best one (a logarithm, at most 0).
            token_min_logp: labels below this logarithm are left out, except the likeliest one of each frame.
            hotwords: words and phrases to favour; unknown words are not penalised while they begin like one of them. Those
                with letters that the labels lack are remarked on in the log. (:func:`~tfwav2vec2.language.hotwords.hotword_trie`
                makes what is searched by of them, once for many recordings.)
            hotword_weight: what each hotword adds to the score.
            lexicon_bound: whether texts may hold nothing but the language model's listed words and hotwords. The further
                transcripts then differ from the first in their last words.
            n_best: how many transcripts to return at most; all by default.

        Returns:
            At least one.

        Raises:
            ValueError: for logits of another shape or with NaN, and for numbers out of range.
            ImportError: where numba is not installed.
        """
        scores = log_probabilities(logits, len(self.alphabet.labels))
        _check(beam_width, beam_prune_logp, token_min_logp, hotword_weight, n_best)
        hot = hotwords if isinstance(hotwords, CharacterTrie) else hotword_trie(hotwords, self._letters)
        settings = self._settings(beam_width, beam_prune_logp, token_min_logp, hotword_weight, lexicon_bound)
        prefixes, states = self._search(scores, settings, hot)
        return self._finish(prefixes, states, settings, hot, n_best)

    def decode_beams_batch(
        self, logits_list: Sequence[Any], num_threads: int | None = None, **options: Any
    ) -> list[list[Beam]]:
        """:meth:`decode_beams` for several recordings, on all processors.

        Args:
            logits_list: each (frames, labels).
            num_threads: how many recordings are searched at the same time; by default as many as there are processors.
            options: the arguments of :meth:`decode_beams`.

        Raises:
            ValueError, ImportError: as :meth:`decode_beams` does; the message names the recording.
        """
        if not isinstance(options.get("hotwords"), CharacterTrie):
            options["hotwords"] = hotword_trie(options.get("hotwords"), self._letters)

        def search(number: int) -> list[Beam]:
            try:
                return self.decode_beams(logits_list[number], **options)
            except ValueError as error:
                raise ValueError(f"Recording {number} of the batch: {error}") from None

        threads = min(num_threads or processors(), len(logits_list))
        if threads < 2:
            return [search(number) for number in range(len(logits_list))]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(search, range(len(logits_list))))

    def decode(self, logits: Any, **options: Any) -> str:
        """The likeliest text of one recording; arguments as for :meth:`decode_beams`."""
        return self.decode_beams(logits, **options, n_best=1)[0].text

    def decode_batch(
        self, logits_list: Sequence[Any], num_threads: int | None = None, **options: Any
    ) -> list[str]:
        """The likeliest text of each of several recordings; arguments as for :meth:`decode_beams_batch`."""
        return [
            beams[0].text for beams in self.decode_beams_batch(logits_list, num_threads, **options, n_best=1)
        ]

    def save_to_dir(self, folder: str | Path) -> list[str]:
        """Write ``alphabet.json`` and ``language_model`` into a folder; returns the paths."""
        return write_decoder(folder, self.alphabet, self.language_model)

    @classmethod
    def load_from_dir(cls, folder: str | Path, unigram_encoding: str = "utf-8") -> BeamSearchDecoderCTC:
        """Read what :meth:`save_to_dir` or pyctcdecode wrote.

        Raises:
            OSError: where a file is missing or damaged.
        """
        return cls(*read_decoder(folder, unigram_encoding))

    def _settings(
        self, width: int, prune: float, least: float, hot_weight: float, lexicon_bound: bool
    ) -> Settings:
        model = self.language_model
        if lexicon_bound and (model is None or not model.unigrams):
            raise ValueError("lexicon_bound needs a language model with a list of words (unigrams)")
        here = isinstance(model.model, NGramModel) if model else False
        return Settings(
            width=int(width),
            prune=float(prune),
            least=float(least),
            alpha=model.alpha * LN_10 if model else 0.0,
            beta=model.beta if model else 0.0,
            unknown=model.unk_score_offset if model else 0.0,
            hot_weight=float(hot_weight),
            has_model=model is not None,
            scored_here=here,
            has_list=bool(model and model.unigrams),
            lexicon_bound=bool(lexicon_bound),
            unknown_word=model.model.unknown if model and here else 0,
        )

    def _search(
        self, scores: np.ndarray, settings: Settings, hot: CharacterTrie
    ) -> tuple[Prefixes, dict[int, Any]]:
        model = self.language_model
        start = model.start() if model else 0
        states, numbers = {0: start}, {}  # of texts, for a model that is asked between two calls
        ngrams = model.model.arrays if model and settings.scored_here else _NO_NGRAMS
        lexicon = self._known_words()
        longest = max(map(len, self.alphabet.spellings()))
        ahead = self._words_ahead() if settings.lexicon_bound else _NOTHING_AHEAD
        looked_at = settings.width * (core.ALTERNATIVES if settings.lexicon_bound else 1)
        prefixes = Prefixes(looked_at, max(longest, 1), self._letters, start if settings.scored_here else 0)
        block = max(1, _BEAMS_AT_ONCE // settings.width)
        frame = 0
        while frame < len(scores):
            prefixes.make_room(block + 1)
            frame = core.search(
                scores, frame, min(frame + block, len(scores)), settings, self._labels, ngrams, lexicon, ahead, hot,
                prefixes.parts, prefixes.parts_table, prefixes.texts, prefixes.texts_table, prefixes.spans,
                prefixes.beams, prefixes.counts,
            )  # fmt: skip
            if settings.has_model and not settings.scored_here:
                self._score_texts(prefixes, states, numbers)
        return prefixes, states

    def _score_texts(self, prefixes: Prefixes, states: dict[int, Any], numbers: dict[Any, int]) -> None:
        """Score the words that wait for it; they are the newest texts. ``numbers`` gives equal states one number."""
        for text in range(len(states), int(prefixes.counts[1])):
            parent, part, *_ = prefixes.texts[text].item()
            score, state = self.language_model.score(states[parent], prefixes.word(part))
            states[text] = state
            prefixes.texts[text]["score"] = prefixes.texts[parent]["score"] + score
            prefixes.texts[text]["state"] = numbers.setdefault(state, len(numbers) + 1)

    def _known_words(self) -> CharacterTrie:
        with self._lock:
            if self._lexicon is None:
                model = self.language_model
                self._lexicon = build_trie(
                    model.vocabulary() if model else {}, model.unigrams if model else (), self._letters
                )
            return self._lexicon

    def _words_ahead(self) -> np.ndarray:
        """For each beginning of a word how likely the likeliest word is that begins so (log10): (nodes of the lexicon,)."""
        lexicon = self._known_words()
        with self._lock:
            if self._ahead is None:
                self._ahead = best_below(lexicon, self.language_model.unigram_scores())
            return self._ahead

    def _finish(
        self,
        prefixes: Prefixes,
        states: dict[int, Any],
        settings: Settings,
        hot: CharacterTrie,
        n_best: int | None,
    ) -> list[Beam]:
        """End the last words, score them as such, and rank the transcripts."""
        model = self.language_model
        endings: dict[tuple[int, int], _Ending] = {}
        for text, part, _, _, start, end, span, logit, _ in self._last_beams(prefixes, settings, hot):
            # One text, whether a space came after its last word or not; the last beam of the two counts, as in pyctcdecode.
            key = (text, part) if part else prefixes.texts[text].item()[:2]
            if key in endings:
                logit = float(np.logaddexp(endings[key].logit, logit))
            endings[key] = _Ending(text, part, start, end, span, logit)
        scored = []
        for ending in endings.values():
            _, _, state, hot_words, score = prefixes.texts[ending.text].item()
            if ending.part and core.is_hotword(prefixes.parts, ending.part, hot):
                hot_words += 1
            if model is not None:
                state = state if settings.scored_here else states[ending.text]
                score += model.score(state, prefixes.word(ending.part), is_last=True)[0]
            scored.append((ending.logit + score + settings.hot_weight * hot_words, ending))
        limit = max(score for score, _ in scored) + settings.prune
        scored = sorted((item for item in scored if item[0] >= limit), key=lambda item: -item[0])
        return [_beam(prefixes, ending, score) for score, ending in scored[:n_best]]

    def _last_beams(
        self, prefixes: Prefixes, settings: Settings, hot: CharacterTrie
    ) -> list[tuple[Any, ...]]:
        """The beams at the end of the frames; where only known words may be in a text, those that end with one."""
        beams = prefixes.beams[: prefixes.counts[3]].tolist()
        if not settings.lexicon_bound:
            return beams
        known = self._known_words()
        whole = [beam for beam in beams if not beam[1] or core.is_word(prefixes.parts, beam[1], known, hot)]
        return whole or [(text, 0, *rest) for text, _, *rest in beams]


@dataclass(frozen=True)
class _Ending:
    """A beam at the end: its finished words, the last one with its frames, the words' spans, and its frames' score."""

    text: int
    part: int
    start: int
    end: int
    span: int
    logit: float


def _beam(prefixes: Prefixes, ending: _Ending, score: float) -> Beam:
    words, frames = prefixes.words(ending.text), prefixes.frames(ending.span)
    if ending.part:
        words.append(prefixes.word(ending.part))
        frames.append((ending.start, ending.end))
    words = " ".join(words).split()  # labels may hold white space other than the word delimiter
    return Beam(" ".join(words), list(zip(words, frames, strict=False)), ending.logit, score)


def build_ctcdecoder(
    labels: Sequence[str],
    kenlm_model_path: str | Path | None = None,
    unigrams: Collection[str] | None = None,
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    unk_score_offset: float = DEFAULT_UNK_SCORE_OFFSET,
    lm_score_boundary: bool = DEFAULT_SCORE_BOUNDARY,
) -> BeamSearchDecoderCTC:
    """Make a decoder of a vocabulary and a language model's file (reference: ``pyctcdecode.build_ctcdecoder``).

    Args:
        labels: the vocabulary's tokens in the order of their ids, as :meth:`~tfwav2vec2.language.alphabet.Alphabet.build`
            takes them.
        kenlm_model_path: an ARPA file, plain or gzipped, or a KenLM binary; None for a decoder without a language model.
        unigrams: the known words; by default those of an ARPA file. (pyctcdecode takes only those that have a back-off weight.)
        alpha, beta, unk_score_offset: as for :class:`~tfwav2vec2.language.language_model.LanguageModel`.
        lm_score_boundary: whether the begin and the end of a sentence are scored.

    Raises:
        OSError: where the file cannot be read.
        ValueError: where the labels cannot be used, or do not fit the language model.
        ImportError: where numba is not installed, or kenlm for a KenLM binary.
    """
    alphabet = Alphabet.build(labels)
    if kenlm_model_path is None:
        return BeamSearchDecoderCTC(alphabet)
    model = open_word_model(kenlm_model_path)
    if unigrams is None:
        if isinstance(model, NGramModel):
            unigrams = model.words
        else:
            logger.warning(
                "Without unigrams, which a KenLM binary does not tell, every word that has only begun counts as unknown"
            )
    return BeamSearchDecoderCTC(
        alphabet, LanguageModel(model, unigrams, alpha, beta, unk_score_offset, lm_score_boundary)
    )


def _check(width: Any, prune: Any, least: Any, hot_weight: Any, n_best: Any) -> None:
    if not isinstance(width, Integral) or not 1 <= width <= _MOST_BEAMS:
        raise ValueError(f"beam_width must be a whole number from 1 to {_MOST_BEAMS}; got {width!r}")
    if not isinstance(prune, Real) or not prune <= 0:
        raise ValueError(f"beam_prune_logp must be a logarithm of at most 0; got {prune!r}")
    if not isinstance(least, Real) or math.isnan(least):
        raise ValueError(f"token_min_logp must be a number; got {least!r}")
    if not isinstance(hot_weight, Real) or not abs(hot_weight) <= LARGEST_WEIGHT:
        raise ValueError(
            f"hotword_weight must be a finite number, from {-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}; got {hot_weight!r}"
        )
    if n_best is not None and (not isinstance(n_best, Integral) or n_best < 1):
        raise ValueError(f"n_best must be a whole number from 1 on; got {n_best!r}")


def _labels(alphabet: Alphabet, letters: str) -> Labels:
    numbers = {letter: number for number, letter in enumerate(letters)}
    spellings = alphabet.spellings()
    return Labels(
        np.array(alphabet.roles(), np.int8),
        np.cumsum([0, *map(len, spellings)], dtype=np.int32),
        np.array([numbers[letter] for letter in "".join(spellings)], np.int32),
    )
