"""A fold of the cross-validation: which stages it has, and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from recipes.spoken_digits import ablations, fold
from recipes.spoken_digits.material import Material
from recipes.spoken_digits.train import make_model
from tfwav2vec2.transcription.transcript import Transcript

NONE = "none of the people"


@pytest.fixture
def lengths() -> list[int]:
    """How many steps each training of :func:`stages` was to have."""
    return []


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> list[Any]:
    """Stages that only say that they ran."""
    ran: list[Any] = []

    def pretrain(data: Path, folder: Path, epochs: int, seed: int) -> None:
        ran.append("pretraining")
        (folder / "backbone").mkdir(parents=True)

    def train(
        material: Material,
        folder: Path,
        start: Path | None,
        learning_rate: float,
    ) -> Path:
        whom = material.left_out if material.people else NONE
        begun = start and (start.parent if start.name == fold.BEST else start).name
        if start and start.parent == fold.KEPT:
            begun = f"kept {begun}"
        ran.append((material.labels, whom, material.without, begun))
        lengths.append(material.steps)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / fold.BEST

    def measured(model: Path, data: Path, left_out: str | None, *, streamed: bool) -> dict[str, Any]:
        return {"left out": left_out, "model": str(model), "streamed": streamed, "unheard": {"wer": 7.5}}

    for function in (pretrain, train):
        monkeypatch.setattr(fold, function.__name__, function)
    monkeypatch.setattr(fold, "measure_fold", measured)
    return ran


def test_folds_share_what_hears_no_speaker_of_digits(stages: list[Any], tmp_path: Path) -> None:
    found = fold.Fold("lucas", tmp_path, tmp_path, from_nothing=True).run()
    assert found["left out"] == "lucas"
    assert found["streamed"]
    assert stages == [
        "pretraining",
        ("phonemes", NONE, ("flite", "kokoro"), "backbone"),
        ("both", NONE, (), "phonemes"),
        ("digits", "lucas", (), "voices"),
    ]
    assert fold.Fold("lucas", tmp_path, tmp_path, from_nothing=True).run() == found
    fold.Fold(None, tmp_path, tmp_path, from_nothing=True).run()
    assert stages[4:] == [("digits", None, (), "voices")]


def test_a_fold_starts_from_what_the_repository_keeps(
    stages: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setattr(fold, "KEPT", kept)
    for stage in (fold.PRETRAINED, fold.PHONEMES):
        (kept / stage).mkdir(parents=True)
    fold.Fold("lucas", tmp_path, tmp_path).run()
    fold.Fold("jackson", tmp_path, tmp_path, ("phonemes",)).run()
    (kept / fold.SPOKEN).mkdir()
    fold.Fold("nicolas", tmp_path, tmp_path, ("tempo",)).run()
    fold.Fold("nicolas", tmp_path, tmp_path, ("flite",)).run()
    assert stages == [
        ("both", NONE, (), "kept phonemes"),
        ("digits", "lucas", (), "voices"),
        ("digits", NONE, (), "kept pretrained"),
        ("digits", "jackson", (), "voices-phonemes"),
        ("digits", "nicolas", ("tempo",), "kept voices"),
        ("both", NONE, ("flite",), "kept phonemes"),
        ("digits", "nicolas", ("flite",), "voices-flite"),
    ]


def test_a_shorter_fold_has_shorter_stages_of_digits_of_its_own(
    stages: list[Any], lengths: list[int], tmp_path: Path
) -> None:
    fold.Fold("lucas", tmp_path, tmp_path, from_nothing=True).run()
    assert lengths == [fold.PHONEME_STEPS, fold.VOICES_STEPS, fold.DIGIT_STEPS]
    found = fold.Fold("lucas", tmp_path, tmp_path, shorter=2, from_nothing=True).run()
    assert lengths[3:] == [fold.VOICES_STEPS // 2, fold.DIGIT_STEPS // 2]
    assert stages[-1] == ("digits", "lucas", (), "voices.2")
    assert not found["streamed"]
    # Without synthetic voices there are as many steps, all of people.
    voices = ("espeak", "flite", "kokoro")
    fold.Fold("lucas", tmp_path, tmp_path, voices, shorter=2, from_nothing=True).run()
    assert lengths[5:] == [fold.VOICES_STEPS // 2 + fold.DIGIT_STEPS // 2]


def test_ablations_are_short_folds_of_one_stranger(
    stages: list[Any], lengths: list[int], tmp_path: Path
) -> None:
    command = ["--data", str(tmp_path), "--folder", str(tmp_path), "--speaker", "lucas"]
    done = CliRunner().invoke(ablations.main, command)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == ["everything: 7.50 % wrong", "no pretraining: 7.50 % wrong"]
    assert done.output.count("\n") == len(ablations.ABLATIONS)
    people = [length for (_, whom, *_), length in zip(stages, lengths, strict=True) if whom == "lucas"]
    short = fold.DIGIT_STEPS // ablations.SHORTER
    assert set(people) == {short, (fold.VOICES_STEPS + fold.DIGIT_STEPS) // ablations.SHORTER}
    heard = len(stages)
    assert CliRunner().invoke(ablations.main, command).output == done.output
    assert len(stages) == heard  # nothing is done twice


def test_what_is_left_out_is_left_out_of_every_stage(stages: list[Any], tmp_path: Path) -> None:
    nothing = {"from_nothing": True}
    fold.Fold("jackson", tmp_path, tmp_path, ("pretraining",), **nothing).run()
    fold.Fold(
        "jackson", tmp_path, tmp_path, ("pretraining", "phonemes", "flite", "open speech"), **nothing
    ).run()
    fold.Fold("jackson", tmp_path, tmp_path, ("phonemes", *sorted(fold.VOICES), "tempo"), **nothing).run()
    assert stages == [
        ("phonemes", NONE, ("flite", "kokoro"), None),
        ("both", NONE, (), "phonemes-unpretrained"),
        ("digits", "jackson", (), "voices-pretraining"),
        ("digits", NONE, ("flite", "open speech"), None),
        ("digits", "jackson", ("flite", "open speech"), "voices-flite-openspeech-phonemes-pretraining"),
        "pretraining",
        ("digits", "jackson", ("espeak", "flite", "kokoro", "tempo"), "backbone"),
    ]
    assert {path.name for path in tmp_path.iterdir() if (path / fold.RESULTS).exists()} == {
        "jackson-pretraining",
        "jackson-flite-openspeech-phonemes-pretraining",
        "jackson-espeak-flite-kokoro-phonemes-tempo",
    }


@pytest.mark.parametrize("stage", sorted(each.name for each in fold.KEPT.iterdir() if each.is_dir()))
def test_what_the_repository_keeps_is_of_the_recipe(stage: str) -> None:
    kept = fold.KEPT / stage
    assert stage in (fold.PRETRAINED, fold.PHONEMES, fold.SPOKEN)
    model = make_model(kept, "digits")
    logits = model.predict_on_batch(np.zeros((1, 16_000), np.float32))["logits"]
    assert np.isfinite(logits).all()
    assert (kept / "model.safetensors").stat().st_size < 4 << 20


def test_a_fold_is_measured_on_its_stranger(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    class Deaf:
        """Hears a ONE in everything."""

        model = type("Model", (), {"configure_call": lambda self, **_: None})()

        def transcribe(self, sources: Any, *, source_rate: int) -> Any:
            for _ in sources:
                yield Transcript("<array>", "1", 1.0)

    monkeypatch.setattr(
        fold, "stream_strings", lambda _, strings: ((each.words, ("ONE",)) for each in strings)
    )
    monkeypatch.setattr(fold.Transcriber, "from_pretrained", lambda *_, **__: Deaf())
    found = fold.measure_fold(Path("anywhere"), shared_data, "george")
    assert found["unheard"]["words"] == 40 * 36
    assert found["unheard"]["sentences"] == 40 * 8
    assert found["unheard"]["confusions"]["TWO>"] > 0
    assert found["unheard"]["streamed wer"] == found["unheard"]["wer"]
    assert set(found["false alarms"]) == {"open speech", "noise", "music"}
    assert (
        "streamed wer"
        not in fold.measure_fold(Path("anywhere"), shared_data, "george", streamed=False)["heard"]
    )
    assert all(alarm["heard"] == alarm["clips"] == 100 for alarm in found["false alarms"].values())
