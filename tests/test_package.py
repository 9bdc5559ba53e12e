"""What importing the package costs, and that every public name is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tfwav2vec2

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
