"""What the readers of fairseq's and torchaudio's files give, put into the reference: every name, shape and number fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tfwav2vec2.weights.checkpoint import Checkpoint  # noqa: E402  # skipped without torch
from tfwav2vec2.weights.formats.fairseq_reader import fairseq_view  # noqa: E402
from tfwav2vec2.weights.formats.torch_reader import TorchCheckpoint  # noqa: E402
from tfwav2vec2.weights.formats.torchaudio_reader import torchaudio_view  # noqa: E402

GOLDENS = Path(__file__).parents[1] / "goldens"


def in_the_reference(kind: str, checkpoint: Checkpoint) -> torch.nn.Module:
    """The reference's model of a kind, with the file's configuration and all of its tensors, no more and no less."""
    config = transformers.Wav2Vec2Config(**checkpoint.config_fields or {})
    model = getattr(transformers, kind)(config)
    state = {key: torch.from_numpy(checkpoint.read(key)) for key in checkpoint.shapes}
    # torchaudio's models have no masks.
    state.setdefault("wav2vec2.masked_spec_embed", model.state_dict()["wav2vec2.masked_spec_embed"])
    model.load_state_dict(state, strict=True)
    return model.eval()


@pytest.mark.parametrize("variant", ["group", "layer"])
def test_fairseqs_models(variant: str, tmp_path: Path) -> None:
    folder = GOLDENS / "fairseq_files" / variant
    with np.load(folder / "expected.npz") as expected, torch.no_grad():
        wave = torch.from_numpy(expected["wave"])
        with fairseq_view(TorchCheckpoint(folder / "pretrained.pt")) as checkpoint:
            model = in_the_reference("Wav2Vec2ForPreTraining", checkpoint)
            found = model.wav2vec2(wave).last_hidden_state
            np.testing.assert_allclose(found, expected["encoded"], rtol=0, atol=1e-5)
        with fairseq_view(TorchCheckpoint(folder / "finetuned.pt")) as checkpoint:
            model = in_the_reference("Wav2Vec2ForCTC", checkpoint)
            logits = model(wave).logits
            np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=1e-5)
            vocabulary = checkpoint.vocabulary
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    for name in ("pad", "bos", "eos"):
        assert getattr(tokenizer, f"{name}_token_id") == getattr(model.config, f"{name}_token_id")
    # fairseq's symbols by their places in its dictionary: its blank, output 0, is silent, and so is the padding.
    assert tokenizer.decode([5, 5, 0, 5, 4, 6, 0, 9, 7]) == "EE T'A"


@pytest.mark.parametrize("name", ["group", "layer_outputs"])
def test_torchaudios_models(name: str) -> None:
    path = GOLDENS / "torchaudio_files" / f"{name}.pt"
    with (
        np.load(path.with_suffix(".npz")) as expected,
        torchaudio_view(TorchCheckpoint(path)) as checkpoint,
        torch.no_grad(),
    ):
        wave = torch.from_numpy(expected["wave"])
        if "lm_head.weight" in checkpoint.shapes:
            found = in_the_reference("Wav2Vec2ForCTC", checkpoint)(wave).logits
        else:
            model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**checkpoint.config_fields or {}))
            state = {key.removeprefix("wav2vec2."): checkpoint.read(key) for key in checkpoint.shapes}
            missing, unexpected = model.load_state_dict(
                {key: torch.from_numpy(array) for key, array in state.items()}, strict=False
            )
            assert (missing, unexpected) == (["masked_spec_embed"], [])
            found = model.eval()(wave).last_hidden_state
        np.testing.assert_allclose(found, expected["answer"], rtol=0, atol=1e-5)
