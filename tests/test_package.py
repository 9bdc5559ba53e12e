"""What importing the package costs, and that every public name is there."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tfwav2vec2
from tests.conftest import REPOSITORY

HEAVY = ("tensorflow", "keras", "jax", "torch", "transformers", "huggingface_hub")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import tfwav2vec2") == set()


def test_processing_needs_no_model_library() -> None:
    statement = (
        "from tfwav2vec2 import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor\n"
        "from tfwav2vec2 import AutoProcessor, BatchFeature, load_audio\n"
        "import numpy\n"
        "Wav2Vec2FeatureExtractor()(numpy.ones(1000), sampling_rate=16000, return_tensors='np')"
    )
    assert loaded_by(statement) == set()


@pytest.mark.parametrize("name", [name for name in tfwav2vec2.__all__ if name != "__version__"])
def test_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(tfwav2vec2, name).__doc__


def test_any_module_can_be_imported_first() -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        "import keras, tfwav2vec2\n"
        "names = [m.name for m in pkgutil.walk_packages(tfwav2vec2.__path__, 'tfwav2vec2.')]\n"
        "for name in names:\n"
        "    if name.endswith('__main__') or 'saved_models' in name:\n"
        "        continue\n"
        "    for loaded in [other for other in sys.modules if other.startswith('tfwav2vec2')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
        "assert len(names) > 50"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_keras_afterwards_imports_no_model() -> None:
    code = (
        "import tfwav2vec2, keras, sys\n"
        "assert 'tfwav2vec2>TFWav2Vec2ForCTC' in keras.saving.get_custom_objects()\n"
        "assert not any('heads' in name for name in sys.modules if name.startswith('tfwav2vec2'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["FlaxWav2Vec2ForCTC", "FlaxAutoModelForPreTraining"])
def test_flax_names_are_the_same_classes_on_jax_alone(name: str) -> None:
    code = f"import tfwav2vec2; from tfwav2vec2 import {name}; print({name}.__name__)"
    for backend in ("jax", "tensorflow"):
        environment = {**os.environ, "KERAS_BACKEND": backend}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        if backend == "jax":
            assert run.stdout.strip() in ("TFWav2Vec2ForCTC", "AutoModelForPreTraining"), run.stderr
        else:
            last = run.stderr.strip().splitlines()[-1]
            assert last.startswith(f"ImportError: {name} runs on Keras's JAX backend")


# What the reference's page on Wav2Vec2 lists (4.57).
PAGE = [
    "Wav2Vec2Config",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2FeatureExtractor",
    "Wav2Vec2Processor",
    "Wav2Vec2ProcessorWithLM",
    "Wav2Vec2DecoderWithLMOutput",
    "Wav2Vec2BaseModelOutput",
    "Wav2Vec2ForPreTrainingOutput",
    "Wav2Vec2Model",
    "Wav2Vec2ForCTC",
    "Wav2Vec2ForSequenceClassification",
    "Wav2Vec2ForAudioFrameClassification",
    "Wav2Vec2ForXVector",
    "Wav2Vec2ForPreTraining",
    "TFWav2Vec2Model",
    "TFWav2Vec2ForSequenceClassification",
    "TFWav2Vec2ForCTC",
    "FlaxWav2Vec2BaseModelOutput",
    "FlaxWav2Vec2ForPreTrainingOutput",
]


@pytest.mark.parametrize("name", PAGE)
def test_the_names_of_the_references_page(name: str) -> None:
    value = getattr(tfwav2vec2, name)
    assert value is getattr(tfwav2vec2, name.removeprefix("TF").removeprefix("Flax"))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wav3Vec'"):
        _ = tfwav2vec2.Wav3Vec


def test_jax_backend_runs_where_tensorflow_is_absent() -> None:
    golden = Path(__file__).parent / "goldens" / "models" / "group"
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "import numpy as np\n"
        "from tfwav2vec2 import AutoModelForCTC\n"
        f"model = AutoModelForCTC.from_pretrained({str(golden)!r})\n"
        f"stages = np.load({str(golden / 'stages.npz')!r})\n"
        "logits = np.asarray(model(stages['input_values']).logits)\n"
        "assert np.abs(logits - stages['unpadded/logits']).max() < 1e-5"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_every_package_is_installed() -> None:
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    folders = {
        file.parent.relative_to(REPOSITORY) for file in (REPOSITORY / "tfwav2vec2").rglob("__init__.py")
    }
    expected = {".".join(folder.parts) for folder in folders} | {"tfwav2vec2.saved_models"}
    assert set(settings["options"]["packages"].split()) == expected
