"""A model and its processor at work: from sound files to transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfwav2vec2.language.vocabulary import check_vocabulary
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.processor_with_lm import Wav2Vec2ProcessorWithLM
from tfwav2vec2.serving.engines import KerasEngine
from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber
from tfwav2vec2.transcription.longform import LongformOptions
from tfwav2vec2.transcription.transcript import Transcript
from tfwav2vec2.weights.files import find_file

__all__ = ["Transcriber", "Transcript"]


class Transcriber(EngineTranscriber):
    """Transcribes recordings of any rate, format and channel count with a CTC model.

    Every clip carries its length into the model, whatever the checkpoint's ``return_attention_mask`` says, so that a
    batch gives what single clips give.

    Args:
        model: a :class:`~tfwav2vec2.TFWav2Vec2ForCTC`.
        processor: the :class:`~tfwav2vec2.Wav2Vec2Processor` that belongs to it.
        batch_size: recordings that go through the model together. On a CPU one at a time is fastest, since none is
            padded; on an accelerator more pay.
        batch_seconds: seconds of audio that go through it together, in place of ``batch_size``; for many recordings.
        longform: how long recordings are cut.

    With a :class:`~tfwav2vec2.Wav2Vec2ProcessorWithLM`, texts are searched for with its language model.

    Raises:
        ValueError: where the processor's vocabulary does not fit the model's head, or is another language's.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        batch_size: int = 1,
        batch_seconds: float | None = None,
        longform: LongformOptions | None = None,
    ) -> None:
        super().__init__(
            KerasEngine(model, processor),
            batch_size=batch_size,
            batch_seconds=batch_seconds,
            longform=longform,
            processor=processor,
        )
        self.model = model
        self.processor = processor
        self._check()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        batch_size: int = 1,
        batch_seconds: float | None = None,
        longform: LongformOptions | None = None,
        language: str | None = None,
        language_model: bool | None = None,
        **hub_options: Any,
    ) -> Transcriber:
        """Open a model and its processor from a folder or from the hub; without a name, the embedded digits model.

        Args:
            name_or_path: a folder, or a name on the hub such as ``facebook/wav2vec2-base-960h``.
            batch_size, batch_seconds, longform: as for the class.
            language: the language of a multilingual model, as :meth:`set_language` takes it; the model's own by default.
            language_model: whether to search with the decoder that lies beside the model (``alphabet.json``, ``language_model/``);
                by default where there is one.
            hub_options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download``, ``subfolder``.

        Raises:
            OSError: where a file is missing or damaged.
            ValueError: where the files do not fit one another.
            ImportError: where a language model needs the extra ``lm`` or ``kenlm``, which is not installed.
        """
        from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC

        if name_or_path is None:
            from tfwav2vec2.embedded import embedded_model

            name_or_path = embedded_model()
        # The vocabulary first: it tells at once whether there is such a language.
        tokens = {} if language is None else {"target_lang": language}
        kind = _processor_class(name_or_path, language_model, hub_options)
        processor = kind.from_pretrained(name_or_path, **tokens, **hub_options)
        model = TFWav2Vec2ForCTC.from_pretrained(name_or_path, target_lang=language, **hub_options)
        return cls(model, processor, batch_size=batch_size, batch_seconds=batch_seconds, longform=longform)

    def set_language(self, language: str, **hub_options: Any) -> None:
        """Switch the model and the tokenizer of a multilingual checkpoint, such as ``facebook/mms-1b-all``, together.

        Args:
            language: its name in the vocabulary and in the adapter's file, for MMS an ISO 639-3 code such as ``"fra"``.
            hub_options: as for :meth:`from_pretrained`.

        Raises:
            OSError: where the language's adapter is missing or damaged.
            ValueError: where the vocabulary or the model does not have the language, or they do not fit one another.
        """
        tokenizer = self.processor.tokenizer
        before = tokenizer.target_lang
        tokenizer.set_target_lang(language)
        try:
            self.model.load_adapter(language, **hub_options)
        except BaseException:
            tokenizer.set_target_lang(before)
            raise
        self._check()

    def _check(self) -> None:
        """Make sure that what the model writes is what the tokenizer reads: a wrong transcript looks like any other."""
        tokenizer = self.processor.tokenizer
        spoken = getattr(self.model, "target_lang", None)
        if None not in (spoken, tokenizer.target_lang) and spoken != tokenizer.target_lang:
            raise ValueError(
                f"The model is in the language {spoken!r} and the tokenizer in {tokenizer.target_lang!r}; switch both "
                "with Transcriber.set_language"
            )
        check_vocabulary(tokenizer, self.model.config)
        if isinstance(self.processor, Wav2Vec2ProcessorWithLM):
            missing = self.processor.get_missing_alphabet_tokens(self.processor.decoder, tokenizer)
            if missing:
                raise ValueError(
                    f"The decoder's alphabet lacks {', '.join(map(repr, sorted(missing)))}, tokens of the tokenizer: it belongs to "
                    "another language; open the model with language_model=False"
                )


def _processor_class(
    name_or_path: str | Path, language_model: bool | None, hub_options: dict[str, Any]
) -> type[Wav2Vec2Processor]:
    """The processor with a language model where one is wanted, or lies there and is not unwanted."""
    if language_model is None:
        language_model = find_file(name_or_path, "alphabet.json", required=False, **hub_options) is not None
    return Wav2Vec2ProcessorWithLM if language_model else Wav2Vec2Processor
