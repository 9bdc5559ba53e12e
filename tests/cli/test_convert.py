"""The command's report, its one-line errors and its exit status."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from tfwav2vec2.cli import convert as command
from tfwav2vec2.cli.convert import part_of
from tfwav2vec2.cli.main import cli
from tfwav2vec2.weights.conversion import convert as convert_weights


def convert(*arguments: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["convert", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def error_of(result: Result) -> str:
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def without_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where torch and transformers are not installed, whether they are or not."""
    find_spec = importlib.util.find_spec
    hidden = ("torch", "transformers")
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name in hidden else find_spec(name)
    )


@pytest.mark.usefixtures("without_the_reference")
def test_the_report(tiny_folder: Path, tmp_path: Path) -> None:
    result = convert(tiny_folder, tmp_path / "out")
    tensors = load_file(tiny_folder / "model.safetensors")
    count = sum(array.size for array in tensors.values())
    lines = result.stdout.splitlines()
    assert lines[0] == f"from:   {tiny_folder / 'model.safetensors'}"
    assert lines[1].startswith(f"to:     {tmp_path / 'out'} (safetensors): config.json, model.safetensors, ")
    assert "vocab.json" in lines[1]
    assert lines[2] == "class:  TFWav2Vec2ForCTC"
    table = lines[4:-1]
    assert table[0].split() == ["part", "tensors", "dtype", "parameters"]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[0] for line in table[1:-1]] == [
        "wav2vec2.masked_spec_embed",
        "wav2vec2.feature_extractor",
        "wav2vec2.feature_projection",
        "wav2vec2.encoder.pos_conv_embed",
        "wav2vec2.encoder.layer_norm",
        "wav2vec2.encoder.layers",
        "lm_head",
    ]
    head = tensors["lm_head.weight"].size + tensors["lm_head.bias"].size
    assert table[-2].split() == ["lm_head", "2", "float32", f"{head:,}"]
    assert table[-1].split()[-3:] == [str(len(tensors)), "float32", f"{count:,}"]
    assert lines[-1] == "logits: not compared with transformers (torch and transformers not installed)"
    # No bar where standard error is no terminal.
    assert result.stderr == ""


def test_verbose_lists_every_tensor(tiny_folder: Path, tmp_path: Path) -> None:
    lines = convert(tiny_folder, tmp_path / "a.keras", "--verbose", "--no-check").stdout.splitlines()
    tensors = load_file(tiny_folder / "model.safetensors")
    rows = {line.split()[0]: line for line in lines[5:-2]}
    assert rows.keys() == tensors.keys()
    labels, columns = tensors["lm_head.weight"].shape
    assert rows["lm_head.weight"].split()[1:] == [
        str(labels),
        "x",
        str(columns),
        "float32",
        f"{labels * columns:,}",
    ]
    assert lines[-2].startswith(f"total: {len(tensors)} tensors")
    assert lines[-1] == "logits: not compared (--no-check)"


@pytest.mark.parametrize("kind", ["safetensors", "torch", "keras", "weights-h5"])
def test_there_and_back(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    convert(tiny_folder, tmp_path / "there", "--to", kind, "--no-check")
    convert(tmp_path / "there", tmp_path / "back", "--no-check")
    for name in ("model.safetensors", "vocab.json", "preprocessor_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (tiny_folder / name).read_bytes()


def test_a_dtype_and_a_configuration(tiny_folder: Path, tmp_path: Path) -> None:
    convert(tiny_folder, tmp_path / "a.weights.h5", "--dtype", "bfloat16", "--no-check")
    error = error_of(convert(tmp_path / "a.weights.h5", tmp_path / "out", "--no-check", status=1))
    assert "config.json" in error
    config = tiny_folder / "config.json"
    result = convert(tmp_path / "a.weights.h5", tmp_path / "out", "--config", config, "--no-check")
    assert "bfloat16" in result.stdout
    assert "float32" not in result.stdout


def test_what_the_source_lacks_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["wav2vec2.masked_spec_embed"]
    save_file(tensors, folder / "model.safetensors")
    result = convert(folder, tmp_path / "a.keras", "--no-check")
    assert "new:    wav2vec2.masked_spec_embed: not in the source, as in a new model" in result.stdout


def edited(tiny_folder: Path, folder: Path, edit: Any) -> Path:
    shutil.copytree(tiny_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda tensors: tensors.pop("wav2vec2.encoder.layer_norm.bias"),
            "missing: wav2vec2.encoder.layer_norm.bias",
        ),
        (lambda tensors: tensors.update(stranger=np.zeros(1)), "not expected: stranger"),
        (
            lambda tensors: tensors.update({"lm_head.bias": np.zeros(3, np.float32)}),
            "of another shape: lm_head.bias (file (3,), model (10,))",
        ),
    ],
)
def test_tensors_that_do_not_fit(tiny_folder: Path, tmp_path: Path, edit: Any, message: str) -> None:
    folder = edited(tiny_folder, tmp_path / "model", edit)
    assert message in error_of(convert(folder, tmp_path / "out", status=1))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda source, out: shutil.rmtree(source), "neither a folder on this machine nor a name on the hub"),
        (lambda source, out: (source / "model.safetensors").write_bytes(b"short"), "is damaged"),
        (lambda source, out: (source / "config.json").unlink(), "config.json"),
        (lambda source, out: out.mkdir() or (out / "mine").touch(), "is there already"),
        (lambda source, out: out.touch(), "is a file"),
    ],
)
def test_other_errors_are_one_line(tiny_folder: Path, tmp_path: Path, prepare: Any, message: str) -> None:
    source, out = shutil.copytree(tiny_folder, tmp_path / "model"), tmp_path / "out"
    prepare(source, out)
    assert message in error_of(convert(source, out, status=1))


def test_overwrite(tiny_folder: Path, tmp_path: Path) -> None:
    convert(tiny_folder, tmp_path / "out", "--no-check")
    error_of(convert(tiny_folder, tmp_path / "out", "--no-check", status=1))
    convert(tiny_folder, tmp_path / "out", "--no-check", "--overwrite", "--to", "torch")
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("lm_head.weight", "lm_head"),
        ("wav2vec2.masked_spec_embed", "wav2vec2.masked_spec_embed"),
        ("masked_spec_embed", "masked_spec_embed"),
        ("wav2vec2.encoder.layers.3.attention.q_proj.bias", "wav2vec2.encoder.layers"),
        ("encoder.pos_conv_embed.conv.parametrizations.weight.original0", "encoder.pos_conv_embed"),
        ("wav2vec2.feature_extractor.conv_layers.0.conv.weight", "wav2vec2.feature_extractor"),
        ("feature_extractor.weight", "feature_extractor"),
        ("tdnn.0.kernel.weight", "tdnn"),
        ("layer_weights", "layer_weights"),
    ],
)
def test_parts(key: str, part: str) -> None:
    assert part_of(key) == part


def test_logits_that_differ_are_an_error(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = convert_weights(tiny_folder, tmp_path / "out")
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: object())
    for difference, line in (
        (None, "logits: not compared with transformers, which reads neither this source nor this format"),
        (2.5e-6, "logits: within 2.5e-06 of transformers on one second of sound"),
    ):
        monkeypatch.setattr(
            "tfwav2vec2.cli.reference_check.largest_difference", lambda *_, found=difference, **__: found
        )
        assert command.checked(report, None) == line
    for difference in (0.5, float("nan")):
        monkeypatch.setattr(
            "tfwav2vec2.cli.reference_check.largest_difference", lambda *_, found=difference, **__: found
        )
        with pytest.raises(ValueError, match=r"differ by .* far more than rounding explains"):
            command.checked(report, None)
