"""What ``convert`` writes, opened by torch and transformers; and the command's own comparison of the logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from click.testing import CliRunner  # noqa: E402  # only where the reference is installed

from tfwav2vec2.cli.main import cli  # noqa: E402
from tfwav2vec2.weights.conversion import convert  # noqa: E402

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 12),
    "conv_stride": (5, 3, 2),
    "conv_kernel": (10, 4, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_codevectors_per_group": 8,
    "classifier_proj_size": 6,
    "tdnn_dim": (6, 8),
    "tdnn_kernel": (3, 1),
    "tdnn_dilation": (1, 1),
    "xvector_output_dim": 5,
}
CLASSES = (
    "Wav2Vec2Model",
    "Wav2Vec2ForCTC",
    "Wav2Vec2ForSequenceClassification",
    "Wav2Vec2ForAudioFrameClassification",
    "Wav2Vec2ForXVector",
    "Wav2Vec2ForPreTraining",
)


def saved(folder: Path, name: str, dtype: Any = None, **fields: Any) -> Any:
    torch.manual_seed(0)
    model = getattr(transformers, name)(transformers.Wav2Vec2Config(**TINY, **fields)).eval()
    model = model if dtype is None else model.to(dtype)
    model.save_pretrained(folder)
    return model


def assert_same(given: Any, reference: Any) -> None:
    expected = reference.state_dict()
    state = given.state_dict()
    assert state.keys() == expected.keys()
    for key, tensor in expected.items():
        assert state[key].dtype == tensor.dtype
        assert torch.equal(state[key], tensor), key


def reload(folder: Path, name: str, **options: Any) -> Any:
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **options)
    assert not any(info.values()), info
    return model


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_the_reference_reads_what_was_written(tmp_path: Path, name: str, kind: str) -> None:
    reference = saved(tmp_path / "theirs", name)
    assert convert(tmp_path / "theirs", tmp_path / "ours", to=kind).architecture == name
    assert_same(reload(tmp_path / "ours", name), reference)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_by_way_of_keras(tmp_path: Path, name: str, suffix: str) -> None:
    reference = saved(tmp_path / "theirs", name)
    convert(tmp_path / "theirs", tmp_path / f"model{suffix}")
    convert(tmp_path / f"model{suffix}", tmp_path / "ours", config=tmp_path / "theirs")
    assert_same(reload(tmp_path / "ours", name), reference)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_other_dtypes(tmp_path: Path, dtype: str, kind: str) -> None:
    reference = saved(tmp_path / "theirs", "Wav2Vec2ForCTC", getattr(torch, dtype))
    convert(tmp_path / "theirs", tmp_path / "ours", to=kind)
    assert_same(reload(tmp_path / "ours", "Wav2Vec2ForCTC", torch_dtype="auto"), reference)
    if kind == "torch":
        state = torch.load(tmp_path / "ours" / "pytorch_model.bin", weights_only=True)
        assert {tensor.dtype for tensor in state.values()} == {getattr(torch, dtype)}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("destination", ["ours", "model.keras", "model.weights.h5"])
def test_the_command_compares_the_logits(tmp_path: Path, name: str, destination: str) -> None:
    saved(tmp_path / "theirs", name, do_stable_layer_norm=True, feat_extract_norm="layer")
    result = CliRunner().invoke(
        cli, ["convert", str(tmp_path / "theirs"), str(tmp_path / destination)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    words = result.stdout.splitlines()[-1].split()
    assert words[:2] == ["logits:", "within"]
    assert float(words[2]) < 1e-4


def test_a_file_that_the_reference_does_not_read(tmp_path: Path) -> None:
    saved(tmp_path / "theirs", "Wav2Vec2ForCTC")
    convert(tmp_path / "theirs", tmp_path / "a.keras")
    for arguments in (["a.keras", "b.weights.h5"], ["theirs", "c.keras", "--dtype", "float16"]):
        result = CliRunner().invoke(
            cli,
            [
                "convert",
                *(str(tmp_path / word) if "." in word or word == "theirs" else word for word in arguments),
            ],
        )
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1].startswith(
            "logits: not compared with transformers, which reads neither"
        )


def test_a_wrong_conversion_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison would have caught weights that are turned round."""
    saved(tmp_path / "theirs", "Wav2Vec2ForCTC")
    from tfwav2vec2.cli import reference_check

    ours = reference_check._ours
    monkeypatch.setattr(reference_check, "_ours", lambda *arguments: np.flip(ours(*arguments), -1))
    result = CliRunner().invoke(cli, ["convert", str(tmp_path / "theirs"), str(tmp_path / "ours")])
    assert result.exit_code == 1
    assert "far more than rounding explains" in result.stderr
