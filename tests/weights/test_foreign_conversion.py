"""Checkpoints of the other libraries, as ``from_pretrained`` opens them and as ``convert`` turns them into our own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model, Wav2Vec2Processor
from tfwav2vec2.weights.architecture import BARE, model_class
from tfwav2vec2.weights.conversion import convert

GOLDENS = Path(__file__).parents[1] / "goldens"
# Folders of the reference's files, and the folder that holds the same model in torch's layout.
REFERENCE_FOLDERS = {
    "h5_files/ctc": "h5_files/ctc",
    "h5_files/model": "h5_files/model",
    "h5_files/sequence_classification": "h5_files/sequence_classification",
    "h5_files/in_parts": "h5_files/ctc",
    "flax_files/ctc": "flax_files/ctc",
    "flax_files/ctc_chunked": "flax_files/ctc",
    "flax_files/ctc_in_parts": "flax_files/ctc",
    "flax_files/model": "flax_files/model",
    "flax_files/pretraining": "flax_files/pretraining",
}
# Files that describe themselves, and the class that they belong to.
SELF_DESCRIBED = {
    "fairseq_files/group/pretrained.pt": "Wav2Vec2ForPreTraining",
    "fairseq_files/group/finetuned.pt": "Wav2Vec2ForCTC",
    "fairseq_files/layer/pretrained.pt": "Wav2Vec2ForPreTraining",
    "fairseq_files/layer/finetuned.pt": "Wav2Vec2ForCTC",
    "torchaudio_files/group.pt": BARE,
}


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A folder with another library's weights and no others, and the same weights in torch's layout."""
    same = GOLDENS / REFERENCE_FOLDERS[request.param]
    folder = tmp_path / "model"
    shutil.copytree(GOLDENS / request.param, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copy(same / "config.json", folder)
    return folder, same


@pytest.mark.parametrize("folder", REFERENCE_FOLDERS, indirect=True)
def test_folders_of_the_reference(folder: tuple[Path, Path], tmp_path: Path) -> None:
    source, same = folder
    convert(source, tmp_path / "out")
    expected, given = (load_file(place / "model.safetensors") for place in (same, tmp_path / "out"))
    # What the other library does not keep is what may be missing.
    assert expected.keys() - given.keys() <= {"masked_spec_embed", "wav2vec2.masked_spec_embed"}
    assert given.keys() <= expected.keys()
    for key, array in given.items():
        assert array.tobytes() == expected[key].tobytes()


@pytest.mark.parametrize("folder", ["h5_files/ctc", "flax_files/ctc"], indirect=True)
def test_from_pretrained_opens_them(folder: tuple[Path, Path]) -> None:
    source, same = folder
    waveform = np.random.default_rng(0).normal(size=(1, 4000)).astype(np.float32)
    expected = TFWav2Vec2ForCTC.from_pretrained(same)(waveform).logits
    kind = "tf" if "tf_model.h5" in {path.name for path in source.iterdir()} else "flax"
    for options in ({}, {f"from_{kind}": True}):
        np.testing.assert_array_equal(
            TFWav2Vec2ForCTC.from_pretrained(source, **options)(waveform).logits, expected
        )
    with pytest.raises(FileNotFoundError, match=r"no weights: none of model\.safetensors, .*index\.json;"):
        TFWav2Vec2ForCTC.from_pretrained(source, from_pt=True)
    # Where there are safetensors too, they come first, unless others are asked for.
    (source / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(OSError, match=r"model\.safetensors is damaged"):
        TFWav2Vec2ForCTC.from_pretrained(source)
    TFWav2Vec2ForCTC.from_pretrained(source, **{f"from_{kind}": True})


@pytest.mark.filterwarnings("ignore:.*fills")
@pytest.mark.parametrize("name", SELF_DESCRIBED)
def test_files_that_describe_themselves(name: str, tmp_path: Path) -> None:
    report = convert(GOLDENS / name, tmp_path / "out")
    assert report.architecture == SELF_DESCRIBED[name]
    chosen: Any = model_class(report.architecture)
    waveform = np.random.default_rng(0).normal(size=(1, 8000)).astype(np.float32)
    opened, converted = (
        chosen.from_pretrained(place)(waveform) for place in (GOLDENS / name, tmp_path / "out")
    )
    for field in ("logits", "last_hidden_state", "projected_states"):
        if field in converted:
            np.testing.assert_array_equal(opened[field], converted[field])
    assert "preprocessor_config.json" in report.files
    assert ("vocab.json" in report.files) == (report.architecture == "Wav2Vec2ForCTC")


@pytest.mark.parametrize("variant", ["group", "layer"])
def test_fairseqs_logits_and_dictionary(variant: str, tmp_path: Path) -> None:
    source = GOLDENS / "fairseq_files" / variant / "finetuned.pt"
    convert(source, tmp_path / "out")
    with np.load(source.with_name("expected.npz")) as expected:
        logits = TFWav2Vec2ForCTC.from_pretrained(tmp_path / "out")(expected["wave"]).logits
        np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=1e-5)
    tokenizer = Wav2Vec2Processor.from_pretrained(tmp_path / "out").tokenizer
    assert [tokenizer.convert_ids_to_tokens(index) for index in range(4)] == ["<pad>", "<s>", "</s>", "<unk>"]
    assert len(tokenizer.get_vocab()) == np.shape(logits)[-1]


def test_torchaudios_hidden_states(tmp_path: Path) -> None:
    source = GOLDENS / "torchaudio_files" / "group.pt"
    convert(source, tmp_path / "out")
    direct = TFWav2Vec2Model.from_pretrained(source)
    again = TFWav2Vec2Model.from_pretrained(tmp_path / "out")
    np.testing.assert_array_equal(
        again.encoder.layers[0].attention.q_proj.kernel, direct.encoder.layers[0].attention.q_proj.kernel
    )
