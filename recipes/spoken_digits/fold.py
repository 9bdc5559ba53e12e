"""One fold of the cross-validation, from nothing: ``python -m recipes.spoken_digits.fold lucas --data DATA --folder FOLDER``.

Four stages: what speech sounds like (:mod:`recipes.spoken_digits.pretrain`), phonemes, digits in synthetic voices, digits of people. The
first three hear none of the people who say digits, so that all folds share them; of the speaker who is left out no stage hears
anything. What is in FOLDER already is not done again, and what was cut off goes on. ``nobody`` is left out of the model that is
given to people.

What the shared stages left is kept in ``stages`` beside this file; ``--from-nothing`` does them anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from recipes.spoken_digits.architecture import Labels
from recipes.spoken_digits.corpus import SPEAKERS, by_speaker, read_recordings
from recipes.spoken_digits.evaluate import SEED, STRINGS_OF_A_LENGTH, read_strings, stream_strings
from recipes.spoken_digits.material import PARTS, Material, Part
from recipes.spoken_digits.pretrain import EPOCHS, pretrain
from recipes.spoken_digits.silence import clips_without_digits, false_alarms
from recipes.spoken_digits.strings import plain_strings
from recipes.spoken_digits.train import BEST, train
from recipes.spoken_digits.word_errors import WordErrors, aligned, count_errors
from tfwav2vec2.transcription.transcriber import Transcriber
from tfwav2vec2.weights.files import read_json, write_json

NOBODY = "nobody"
STAGES = ("pretraining", "phonemes")
PHONEME_STEPS, PHONEME_RATE = 2400, 1.5e-3
PHONEME_BATCH_SECONDS = 48  # a reading is of a dozen
VOICES_STEPS, VOICES_RATE = 16000, 1.2e-3
# Half of them left 5.3 % errors on people who were heard.
DIGIT_STEPS, DIGIT_RATE = 4800, 5e-4
VOICES: set[Part] = {"espeak", "flite", "kokoro"}
STRENGTH = 0.7  # of the surroundings of digits
RESULTS, DONE = "results.json", "done"
KEPT = Path(__file__).parent / "stages"
PRETRAINED, PHONEMES, SPOKEN = "pretrained", "phonemes", "voices"


@dataclass(frozen=True)
class Fold:
    """One fold: which stranger, and how his model is made.

    Args:
        left_out: the stranger, or None.
        data: the folder of recordings.
        folder: where everything goes.
        without: parts of :data:`PARTS` and stages of :data:`STAGES` to leave out.
        shorter: by how much both stages of digits are shorter, for comparisons that a whole training is too long for. What is heard as it
            arrives is then not measured.
        seed: of everything.
        from_nothing: train what :data:`KEPT` holds anew too.
    """

    left_out: str | None
    data: Path
    folder: Path
    without: tuple[str, ...] = ()
    shorter: int = 1
    seed: int = 0
    from_nothing: bool = False

    def run(self) -> dict[str, Any]:
        """Do what is left to do; what is in the fold's ``results.json`` comes back."""
        own = self.folder / fold_name(self.left_out, self.without, self.shorter)
        if not (own / RESULTS).exists():
            best = self._digits(own)
            write_json(
                own / RESULTS, measure_fold(best, self.data, self.left_out, streamed=self.shorter == 1)
            )
        found: dict[str, Any] = read_json(own / RESULTS)
        return found

    def _digits(self, own: Path) -> Path:
        """The model of the people's digits."""
        parts = _parts(self.without)
        voiced = not set(parts) >= VOICES
        start = self._voices() if voiced else self._phonemes()
        steps = DIGIT_STEPS if voiced else VOICES_STEPS + DIGIT_STEPS
        material = Material(
            self.data, self.folder, steps // self.shorter, self.seed, "digits", self.left_out, parts, STRENGTH,
            # A model that writes digits already needs no single ones first.
            curriculum=not voiced,
        )  # fmt: skip
        return train(material, own, start, DIGIT_RATE)

    def _voices(self) -> Path:
        """The model of digits in synthetic voices."""
        without = tuple(each for each in self.without if each != "tempo")  # which only people have
        parts = _parts(without)
        if not without and self.shorter == 1 and (kept := self._kept(SPOKEN)):
            return kept
        # That human speech holds no digits is learnt where people say some; here readings are written in phonemes.
        labels: Labels = "digits" if "phonemes" in without else "both"
        material = Material(
            self.data, self.folder, VOICES_STEPS // self.shorter, self.seed, labels, None, parts, STRENGTH, people=False
        )  # fmt: skip
        shared = self.folder / fold_name(SPOKEN, without, self.shorter)
        return _once(material, shared, self._phonemes(), VOICES_RATE)

    def _phonemes(self) -> Path | None:
        """The model of phonemes that the digits start from, or what is there without it."""
        start = None if "pretraining" in self.without else self._pretrained()
        if "phonemes" in self.without:
            return start
        if start and (kept := self._kept(PHONEMES)):
            return kept
        # These voices say digits and no more; readings have words enough.
        material = Material(
            self.data, self.folder, PHONEME_STEPS, self.seed, "phonemes", without=("flite", "kokoro"), people=False,
            batch_seconds=PHONEME_BATCH_SECONDS,
        )  # fmt: skip
        own = self.folder / (PHONEMES if start else f"{PHONEMES}-unpretrained")
        return _once(material, own, start, PHONEME_RATE)

    def _pretrained(self) -> Path:
        """The backbone that everything starts from."""
        if kept := self._kept(PRETRAINED):
            return kept
        backbone = self.folder / PRETRAINED / "backbone"
        if not backbone.exists():
            pretrain(self.data, self.folder / PRETRAINED, EPOCHS, self.seed)
        return backbone

    def _kept(self, stage: str) -> Path | None:
        """What the repository keeps of a stage, if that is wanted."""
        return KEPT / stage if not self.from_nothing and (KEPT / stage).exists() else None


def _parts(without: tuple[str, ...]) -> tuple[Part, ...]:
    """Those of the things left out that are parts of the material; the others are stages."""
    return tuple(part for part in PARTS if part in without)


def fold_name(left_out: str | None, without: tuple[str, ...] = (), shorter: int = 1) -> str:
    """The name of a fold's folder."""
    name = "-".join([left_out or NOBODY, *sorted(each.replace(" ", "") for each in without)])
    return name if shorter == 1 else f"{name}.{shorter}"


def _once(material: Material, folder: Path, start: Path | None, rate: float) -> Path:
    """Train what folds share, if it is not there."""
    if not (folder / DONE).exists():
        train(material, folder, start, rate)
        (folder / DONE).touch()
    return folder / BEST


def measure_fold(model: Path, data: Path, left_out: str | None, *, streamed: bool = True) -> dict[str, Any]:
    """What a fold's model makes of strangers, of those it knows, and of sounds without digits; if wanted, as they arrive too."""
    transcriber = Transcriber.from_pretrained(model, batch_size=16)
    transcriber.model.configure_call(jit_compile=False)
    splits = read_recordings(data, left_out)
    heard = list(by_speaker(splits["heard"]).values())
    sets = {"heard": plain_strings(heard, STRINGS_OF_A_LENGTH // len(heard), SEED)}
    if left_out is not None:
        sets["unheard"] = plain_strings([splits["unheard"]], STRINGS_OF_A_LENGTH, SEED)
    found: dict[str, Any] = {"left out": left_out}
    for name, strings in sets.items():
        errors, confusions = _count(read_strings(transcriber, strings))
        found[name] = asdict(errors) | {"wer": _per_cent(errors), "confusions": confusions}
        if streamed:
            found[name]["streamed wer"] = _per_cent(_count(stream_strings(transcriber, strings))[0])
    found["false alarms"] = {
        kind: asdict(false_alarms(transcriber, clips))
        for kind, clips in clips_without_digits(data, SEED).items()
    }
    return found


def _count(
    read: Iterable[tuple[tuple[str, ...], tuple[str, ...]]],
) -> tuple[WordErrors, dict[str, int]]:
    """The errors of strings, and how often which word was read as which, as ``"ONE>NINE"``; nothing is ``""``."""
    errors, confusions = WordErrors(), Counter[str]()
    for said, found in read:
        pairs = aligned(said, found)
        errors += count_errors(pairs)
        confusions.update(f"{word or ''}>{other or ''}" for word, other in pairs)
    return errors, dict(sorted(confusions.items()))


def _per_cent(errors: WordErrors) -> float:
    return round(100 * errors.rate, 2)


@click.command(
    epilog="Example:  python -m recipes.spoken_digits.fold lucas --data ../shared/data --folder /tmp/digits"
)
@click.argument("speaker", type=click.Choice([*SPEAKERS, NOBODY]))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with manifest.tsv and fsdd/recordings.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".cache/spoken-digits"), show_default=True
)
@click.option(
    "--without", type=click.Choice([*PARTS, *STAGES]), multiple=True, help="A part or a stage to leave out."
)
@click.option(
    "--shorter",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Divide the steps that teach digits by this.",
)
@click.option("--seed", default=0, show_default=True, help="Of everything.")
@click.option("--from-nothing", is_flag=True, help="Train what the repository keeps anew too.")
def main(
    speaker: str,
    data: Path,
    folder: Path,
    without: tuple[str, ...],
    shorter: int,
    seed: int,
    from_nothing: bool,
) -> None:
    """Train the model of which SPEAKER is a stranger, and print what it makes of him."""
    left_out = None if speaker == NOBODY else speaker
    found = Fold(left_out, data, folder, without, shorter, seed, from_nothing).run()
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
