"""A fold of the cross-validation: which stages it has, and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes.spoken_digits import fold
from recipes.spoken_digits.material import Material
from tfwav2vec2.transcription.transcript import Transcript


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stages that only say that they ran."""
    ran: list[Any] = []

    def pretrain(data: Path, folder: Path, epochs: int, seed: int) -> None:
        ran.append("pretraining")
        (folder / "backbone").mkdir(parents=True)

    def train(material: Material, folder: Path, start: Path | None, learning_rate: float) -> Path:
        ran.append((material.labels, material.left_out, material.without, start and start.parent.name))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / fold.BEST

    def measured(model: Path, data: Path, left_out: str | None) -> dict[str, Any]:
        return {"left out": left_out, "model": str(model)}

    for function in (pretrain, train):
        monkeypatch.setattr(fold, function.__name__, function)
    monkeypatch.setattr(fold, "measure_fold", measured)
    return ran


def test_folds_share_what_hears_no_speaker_of_digits(stages: list[Any], tmp_path: Path) -> None:
    found = fold.run_fold("lucas", tmp_path, tmp_path)
    assert found["left out"] == "lucas"
    assert stages == [
        "pretraining",
        ("phonemes", None, (), "pretrained"),
        ("digits", "lucas", (), "phonemes"),
    ]
    assert fold.run_fold("lucas", tmp_path, tmp_path) == found
    fold.run_fold(None, tmp_path, tmp_path)
    assert stages[3:] == [("digits", None, (), "phonemes")]


def test_what_is_left_out_is_another_fold(stages: list[Any], tmp_path: Path) -> None:
    fold.run_fold("jackson", tmp_path, tmp_path, ("pretraining",))
    fold.run_fold("jackson", tmp_path, tmp_path, ("phonemes", "voices", "open speech"))
    assert stages == [
        ("phonemes", None, (), None),
        ("digits", "jackson", (), "phonemes-unpretrained"),
        ("digits", "jackson", ("voices", "open speech"), None),
    ]
    assert {path.name for path in tmp_path.iterdir() if (path / fold.RESULTS).exists()} == {
        "jackson-pretraining",
        "jackson-openspeech-phonemes-voices",
    }


def test_a_fold_is_measured_on_its_stranger(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    class Deaf:
        """Hears a ONE in everything."""

        model = type("Model", (), {"configure_call": lambda self, **_: None})()

        def transcribe(self, sources: Any, *, source_rate: int) -> Any:
            for _ in sources:
                yield Transcript("<array>", "1", 1.0)

    monkeypatch.setattr(fold.Transcriber, "from_pretrained", lambda *_, **__: Deaf())
    found = fold.measure_fold(Path("anywhere"), shared_data, "george")
    assert found["unheard"]["words"] == 40 * 36
    assert found["unheard"]["sentences"] == 40 * 8
    assert found["unheard"]["confusions"]["TWO>"] > 0
    assert set(found["false alarms"]) == {"open speech", "noise", "music"}
    assert all(alarm["heard"] == alarm["clips"] == 100 for alarm in found["false alarms"].values())
