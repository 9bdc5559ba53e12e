import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.cli.main import cli


def info(model: str | Path, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["info", str(model)], catch_exceptions=False)
    assert result.exit_code == status
    return result.stderr if status else result.stdout


def test_a_model_is_described_from_its_files(tiny_folder):
    text = info(tiny_folder)
    count = sum(math.prod(weight.shape) for weight in TFWav2Vec2ForCTC.from_pretrained(tiny_folder).weights)
    assert f"parameters:    {count:,} in " in text
    assert "Wav2Vec2ForCTC, 2 layers, hidden 16, 2 heads, feed-forward 24, post-norm" in text
    assert (
        "3 convolutions of up to 12 channels, group norm, one frame for each 30 samples, 55 samples wide"
        in text
    )
    assert "16000 Hz, mono, zero mean and unit variance" in text
    assert "10 symbols: <pad> <s> </s> <unk> | A B C D E" in text
    size = (tiny_folder / "model.safetensors").stat().st_size
    assert f"{size / 1000:.1f} kB  model.safetensors" in text


def test_the_width_of_a_frame_is_the_shortest_clip(tiny_folder):
    from tfwav2vec2.backbone.lengths import shortest_clip

    assert f"{shortest_clip(Wav2Vec2Config.from_pretrained(tiny_folder))} samples wide" in info(tiny_folder)


def test_weights_in_several_files_are_counted_together(tiny_folder, tmp_path):
    TFWav2Vec2ForCTC.from_pretrained(tiny_folder).save_pretrained(tmp_path, max_shard_size="10KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    parameters = next(line for line in info(tiny_folder).splitlines() if line.startswith("parameters"))
    assert parameters in info(tmp_path)


def test_what_is_missing_is_said(tiny_folder, tmp_path):
    shutil.copy(tiny_folder / "config.json", tmp_path)
    text = info(tmp_path)
    assert "no weights (model.safetensors)" in text
    assert "no preprocessor_config.json" in text
    assert "no vocab.json" in text


def test_a_vocabulary_of_several_languages(tiny_folder, tmp_path):
    shutil.copy(tiny_folder / "config.json", tmp_path)
    (tmp_path / "vocab.json").write_text('{"deu": {"<pad>": 0}, "eng": {"<pad>": 0}}')
    assert "2 languages: deu eng" in info(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "bert"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "model.safetensors"),
        (lambda folder: (folder / "vocab.json").write_text("{"), "vocab.json"),
    ],
)
def test_broken_files_are_one_clear_error(tiny_folder, tmp_path, damage, message):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    damage(folder)
    error = info(folder, status=1)
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_model_on_the_hub_is_described_without_its_weights(tiny_folder, monkeypatch):
    """The hub is stood in for: small files are found in the folder, weights only by their header on the server."""
    asked = []

    def find_file(name, filename, *, required=True, local_files_only=False, **options):
        asked.append((filename, local_files_only))
        path = tiny_folder / filename
        return path if path.is_file() and not filename.startswith("model") else None

    class Api:
        def get_safetensors_metadata(self, name):
            return SimpleNamespace(parameter_count={"F32": 1234567}, weight_map={"a": "x", "b": "x"})

        def model_info(self, name, files_metadata):
            return SimpleNamespace(
                siblings=[SimpleNamespace(rfilename="model.safetensors", size=377_611_120)]
            )

    monkeypatch.setattr("tfwav2vec2.weights.files.find_file", find_file)
    monkeypatch.setattr("tfwav2vec2.config.find_file", find_file)
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    text = info("someone/model")
    assert "1,234,567 in 2 tensors" in text
    assert "377.6 MB  model.safetensors" in text
    assert all(local for filename, local in asked if filename.startswith(("model.", "pytorch_model.")))


def test_a_cached_model_is_described_without_the_network(tiny_folder, monkeypatch):
    class Api:
        def model_info(self, name, files_metadata):
            raise ConnectionError("offline")

    def find_file(name, filename, *, required=True, **options):
        path = tiny_folder / filename
        return path if path.is_file() else None

    monkeypatch.setattr("tfwav2vec2.weights.files.find_file", find_file)
    monkeypatch.setattr("tfwav2vec2.config.find_file", find_file)
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    expected = info(tiny_folder).split("\n", 1)[1]
    assert info("someone/model").split("\n", 1)[1] == expected


def test_info_loads_no_tensorflow(tiny_folder):
    import subprocess
    import sys

    code = (
        "import sys; from click.testing import CliRunner; from tfwav2vec2.cli.main import cli; "
        f"result = CliRunner().invoke(cli, ['info', {str(tiny_folder)!r}], catch_exceptions=False); "
        "assert 'Wav2Vec2ForCTC' in result.stdout; print(*sys.modules)"
    )
    repository = Path(__file__).resolve().parents[2]
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository, check=True
    )
    assert not {"tensorflow", "keras", "jax", "torch"} & set(loaded.stdout.split())
