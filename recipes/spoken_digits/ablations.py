"""What each part is worth: one fold again and again, each time without a part: ``python -m recipes.spoken_digits.ablations --data DATA``.

:mod:`recipes.spoken_digits.card` makes a table of what is found. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from pathlib import Path

import click

from recipes.spoken_digits.corpus import SPEAKERS
from recipes.spoken_digits.fold import STAGES, Fold
from recipes.spoken_digits.material import PARTS

# What each one leaves out, and how the table calls it.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "no pretraining": ("pretraining",),
    "no phonemes": ("phonemes",),
    "no voices of Kokoro": ("kokoro",),
    "no voices of Flite": ("flite",),
    "no synthetic voices": ("espeak", "flite", "kokoro"),
    "no other tempi": ("tempo",),
    "no surroundings": ("surroundings",),
    "no augmentation: neither of the two": ("tempo", "surroundings"),
    "no open speech": ("open speech",),
    "none of these": (*STAGES, *PARTS),
}
# What makes them affordable: with whole trainings they would take two cores half a day.
SHORTER = 6


@click.command(epilog="Example:  python -m recipes.spoken_digits.ablations --data ../shared/data")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Folder with manifest.tsv and fsdd/recordings.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".cache/spoken-digits"), show_default=True
)
@click.option(
    "--speaker", type=click.Choice(SPEAKERS), default="jackson", show_default=True, help="The stranger."
)
def main(data: Path, folder: Path, speaker: str) -> None:
    """Train a short fold without each of the parts, and print what each makes of its stranger; five hours of one core."""
    for name, without in ABLATIONS.items():
        found = Fold(speaker, data, folder, without, SHORTER).run()
        click.echo(f"{name}: {found['unheard']['wer']:.2f} % wrong")


if __name__ == "__main__":
    main()
