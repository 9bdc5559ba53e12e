"""What LoRA learnt, exchanged with the library peft: each reads the other's folder, and both compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")
peft = pytest.importorskip("peft", reason="the exchange of LoRA needs peft")

from tests.heads.family import padded_batch  # noqa: E402
from tests.training.test_lora import adapted, answer, make  # noqa: E402  # only where the reference is installed
from tfwav2vec2.training.lora_files import load_lora, save_lora  # noqa: E402

# The reference counts the padding in its group norm.
AS_THE_REFERENCE = {"feature_norm_mask": False}
TOLERANCE = 1e-5


@pytest.fixture
def base(tmp_path: Path) -> Any:
    """The reference's model with the weights that both begin with."""
    make(**AS_THE_REFERENCE).save_pretrained(tmp_path / "base")
    return transformers.Wav2Vec2ForCTC.from_pretrained(tmp_path / "base").eval()


def answer_of(reference: Any) -> np.ndarray:
    batch = {name: torch.tensor(value) for name, value in padded_batch().items()}
    with torch.no_grad():
        return reference(batch["input_values"], attention_mask=batch["attention_mask"].long()).logits.numpy()


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_peft_reads_what_was_learnt_here(base: Any, tmp_path: Path) -> None:
    model = adapted(AS_THE_REFERENCE)
    model.lm_head.bias.assign(np.arange(10, dtype="float32"))
    save_lora(model, tmp_path / "learnt")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "learnt").eval()
    assert_same(answer_of(theirs), answer(model))


def test_what_peft_learnt_is_read_here(base: Any, tmp_path: Path) -> None:
    settings = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "output_dense"], modules_to_save=["lm_head"]
    )
    theirs = peft.get_peft_model(base, settings).eval()
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter.data, 0.0, 0.3)
    theirs.save_pretrained(tmp_path / "learnt")
    model = make(**AS_THE_REFERENCE)
    load_lora(model, tmp_path / "learnt")
    assert_same(answer(model), answer_of(theirs))
