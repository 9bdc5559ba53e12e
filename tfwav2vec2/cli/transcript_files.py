"""Transcripts as files and pictures of them, as several commands write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tfwav2vec2.serving.engines import Engine
    from tfwav2vec2.transcription.aligner import Aligner, Heard
    from tfwav2vec2.transcription.picture import LetterProbabilities
    from tfwav2vec2.transcription.transcript import TimedWord

# What the model hears before and after the part of a long recording that is drawn.
_CONTEXT_SECONDS = 1.0


def write_transcript(path: Path, content: str) -> None:
    """Write a transcript's file whole or not at all, with the folders above it.

    Raises:
        click.ClickException: where it cannot be written.
    """
    from tfwav2vec2.weights.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_text(content, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror or error}): check the folder and the space that is left"
        ) from error


def draw_transcript(path: Path, engine: Engine, audio: Path, words: Sequence[TimedWord]) -> None:
    """Draw a recording with its words, and the letters' probabilities where the model's vocabulary is known here.

    Of a long recording a part is drawn, which is said on standard error; the model runs on that part once more.

    Raises:
        click.ClickException: where it cannot be drawn.
    """
    try:
        from tfwav2vec2.audio.loading import load_audio
        from tfwav2vec2.transcription.picture import plot_alignment, readable_part

        rate = engine.sampling_rate
        waveform = load_audio(audio, sampling_rate=rate)
        part = readable_part(len(waveform) / rate, words)
        first = max(0, int((part[0] - _CONTEXT_SECONDS) * rate))
        heard = waveform[first : int((part[1] + _CONTEXT_SECONDS) * rate)]
        letters = _letters(engine, heard, first / rate)
        start, end = plot_alignment(path, waveform, rate, words, letters, part=part, title=audio.name)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path} shows {start:.1f} to {end:.1f} s", err=True)


def _letters(engine: Engine, waveform: object, offset: float) -> LetterProbabilities | None:
    """What the model says of each frame of a waveform that begins ``offset`` seconds into the recording."""
    from tfwav2vec2.transcription.aligner import Aligner

    processor = getattr(engine, "processor", None)
    if getattr(processor, "tokenizer", None) is None or engine.config is None:
        return None
    aligner = Aligner(engine)
    return letter_probabilities(aligner, aligner.hear(waveform, source_rate=engine.sampling_rate), offset)


def letter_probabilities(aligner: Aligner, heard: Heard, offset: float = 0.0) -> LetterProbabilities:
    """What the model said of each frame of a recording that begins at ``offset`` seconds, for a picture."""
    from tfwav2vec2.transcription.picture import LetterProbabilities

    tokens = {index: token for token, index in aligner.tokenizer.get_vocab().items()}
    labels = [tokens.get(index, "") for index in range(heard.logits.shape[1])]
    return LetterProbabilities(
        heard.logits, labels, heard.hop, aligner.tokenizer.pad_token_id, offset + heard.first
    )
