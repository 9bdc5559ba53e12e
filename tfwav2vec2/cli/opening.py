"""Open the model that a command line names, whatever kind it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tfwav2vec2.cli.quiet import import_models, quiet_imports

if TYPE_CHECKING:
    from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber

DIGITS_ONLY = (
    "Using the embedded model, which knows strings of English digits only. "
    "For open speech name a model: --model facebook/wav2vec2-base-960h"
)

MODEL_HELP = (
    "A model on the hub or in a folder, a .tflite file, the folder of a SavedModel, or an address of TensorFlow "
    "Serving, such as http://localhost:8501/v1/models/NAME or grpc://localhost:8500/NAME. Without it, the embedded model: "
    "English digits only."
)
LANGUAGE_HELP = "The language that is spoken, for a multilingual model such as facebook/mms-1b-all: eng, fra, ... (ISO 639-3)."
HOTWORD_HELP = "A word or phrase to expect, such as a name, where a language model lies beside the model (tfwav2vec2 lm); may be repeated."


def open_transcriber(
    model: str | None,
    language: str | None,
    batch_size: int = 1,
    *,
    language_model: bool | None = None,
    **options: Any,
) -> EngineTranscriber:
    """What transcribes with the named model; TensorFlow is imported only for what needs it.

    ``language_model`` is for :meth:`Transcriber.from_pretrained`, ``options`` are further ones of the transcriber.

    Raises:
        click.UsageError: for a language where the model has none.
        click.ClickException: where the model cannot be opened.
    """
    from tfwav2vec2.serving.engines import is_engine

    if model is not None and is_engine(model):
        return _open_engine(model, language, batch_size=batch_size, **options)
    if model is None and language is not None:
        raise click.UsageError("The embedded model has no languages: name a multilingual one with --model")
    if model is None:
        click.echo(DIGITS_ONLY, err=True)
    try:
        import_models()
        from tfwav2vec2.transcription.transcriber import Transcriber

        return Transcriber.from_pretrained(
            model, batch_size=batch_size, language=language, language_model=language_model, **options
        )
    except (OSError, ValueError, TypeError, ImportError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in ("tensorflow", "keras")
        advice = (
            f": pip install {error.name}; a .tflite file runs without it, --model FILE.tflite"
            if missing
            else ""
        )
        raise click.ClickException(f"{error}{advice}") from error


def _open_engine(model: str, language: str | None, **options: Any) -> EngineTranscriber:
    if language is not None:
        raise click.UsageError(f"{model} is an exported model, whose language is fixed: leave --language out")
    from tfwav2vec2.serving.engines import open_engine
    from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber

    try:
        with quiet_imports():
            engine = open_engine(model)
        return EngineTranscriber(engine, **options)
    except (OSError, ValueError, ImportError) as error:
        raise click.ClickException(str(error)) from error
