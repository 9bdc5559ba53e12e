"""Transcribe spoken digits with the embedded model and count the errors: ``python -m demo.run``.

First the sample clips beside this file, then, where the recordings of the Free Spoken Digit Dataset lie in
``../shared/data``, strings joined from clips that the model was not trained on. At the end the model is exported for TensorFlow
Serving and for LiteRT, and both read the sample clips.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from demo.exports import show_exports
from recipes.spoken_digits.word_errors import WordErrors, word_errors
from tfwav2vec2.cli.quiet import import_models

CLIPS = Path(__file__).parent / "clips"
# Draws the same strings each time.
SEED = 1
RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


def sample_clips() -> Iterator[tuple[Path, str]]:
    """The demo's own clips, each with what is said in it."""
    with (CLIPS / "manifest.tsv").open(newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            yield CLIPS / row["file"], row["text"]


def real_strings() -> Iterator[tuple[Any, str]]:
    """Strings of 1 to 8 recorded digits, one of each length and speaker, of clips that no training heard."""
    from recipes.spoken_digits.corpus import by_speaker, read_recordings
    from recipes.spoken_digits.strings import plain_strings

    pools = by_speaker(read_recordings(RECORDINGS)["heard"]).values()
    return ((string.samples, string.text) for string in plain_strings(pools, 1, SEED))


def show(transcriber: Any, title: str, strings: Iterable[tuple[Any, str]]) -> None:
    """Print what was said and what the model heard in each string, then the word error rate of all."""
    print(f"\n{title}")
    total, audio, started = WordErrors(), 0.0, time.perf_counter()
    for source, said in strings:
        transcript = next(transcriber.transcribe([source], source_rate=16_000))
        found = word_errors(said, transcript.text)
        print(f"  said   {said}\n  heard  {transcript.text}" + ("" if found.errors == 0 else "   <- differs"))
        total, audio = total + found, audio + transcript.seconds
    seconds = time.perf_counter() - started
    print(f"  {total.rate:.1%} word error rate ({total.errors} of {total.words} digits), "
          f"{audio:.1f} s of audio in {seconds:.1f} s")  # fmt: skip


def main() -> None:
    """Run the demo; without the embedded model, say so and end with status 1."""
    import_models()
    from tfwav2vec2 import Transcriber

    try:
        transcriber = Transcriber.from_pretrained()
    except (OSError, ValueError) as error:
        sys.exit(f"Error: {error}")
    show(transcriber, "Sample clips, spoken by eSpeak NG (demo/clips)", sample_clips())
    if (RECORDINGS / "fsdd").is_dir():
        show(
            transcriber,
            "Recordings of people that the model heard, in clips that it did not hear",
            real_strings(),
        )
    else:
        print(f"\nReal recordings: skipped, {RECORDINGS / 'fsdd'} is not there")
    show_exports(transcriber, [path for path, _ in sample_clips()])


if __name__ == "__main__":
    main()
