"""Make the demo's sample clips anew: ``python -m demo.make_clips`` (needs eSpeak NG: ``apt-get install espeak-ng``).

The clips are a speech synthesizer's, so that they are the project's own and small. The voices speak at eSpeak NG's own
rate and pitch, which the recipe of the embedded model leaves out of its training data.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import soundfile

from recipes.spoken_digits.corpus import written
from recipes.spoken_digits.espeak import PROGRAM
from recipes.spoken_digits.synthesizers import run
from tfwav2vec2.audio.loading import SAMPLE_RATE, load_audio

CLIPS = Path(__file__).parent / "clips"

# Tens of milliseconds between words: the voices run digits together otherwise, as people who read out a number do not.
WORD_GAP = "15"

# (file, voice, what it says)
SENTENCES = (
    ("one_digit.flac", "en-us", "SEVEN"),
    ("two_digits.flac", "en-gb", "FOUR ONE"),
    ("three_digits.flac", "en-gb-scotland", "THREE ZERO EIGHT"),
    ("four_digits.flac", "en-us-nyc", "TWO SIX NINE FIVE"),
    ("six_digits.flac", "en-029", "ONE NINE FOUR SEVEN ZERO TWO"),
    ("eight_digits.flac", "en-us", "FIVE EIGHT THREE ONE SIX ZERO NINE TWO"),
)


def main() -> None:
    """Speak every sentence into a file of 16 kHz and 16 bits, and list them in ``manifest.tsv``."""
    CLIPS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, voice, text in SENTENCES:
            spoken = Path(folder) / "spoken.wav"
            try:
                run(PROGRAM, "-v", voice, "-g", WORD_GAP, "-w", str(spoken), text.lower())
            except OSError as error:
                sys.exit(f"Error: {error}")
            soundfile.write(CLIPS / name, load_audio(spoken), SAMPLE_RATE, subtype="PCM_16")
    with (CLIPS / "manifest.tsv").open("w", newline="") as manifest:
        writer = csv.writer(manifest, delimiter="\t", lineterminator="\n")
        writer.writerow(("file", "voice", "text"))
        writer.writerows((name, voice, written(text.split())) for name, voice, text in SENTENCES)


if __name__ == "__main__":
    main()
