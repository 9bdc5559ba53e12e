"""How every weight of every class begins: the reference's distributions, written out by the name of the weight.

The same is asked of weights that a checkpoint lacks. Beside the reference itself: tests/parity/test_initialisation.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tfwav2vec2
from tests.backbone.conftest import to_numpy
from tests.heads.family import FIELDS
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables

# Large enough to tell a distribution by, small enough to draw in no time.
MIDDLE = FIELDS | {
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "conv_dim": [24, 32, 40],
    "num_conv_pos_embeddings": 16,
    "classifier_proj_size": 40,
    "tdnn_dim": [32, 32, 32, 32, 48],
    "xvector_output_dim": 40,
    "num_codevectors_per_group": 40,
    "codevector_dim": 64,
    "proj_codevector_dim": 56,
    "vocab_size": 60,
    "num_labels": 30,
}
LARGE_STYLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
MODELS: dict[str, dict[str, Any]] = {
    "TFWav2Vec2Model": LARGE_STYLE | {"add_adapter": True, "output_hidden_size": 32},
    "TFWav2Vec2ForCTC": LARGE_STYLE | {"adapter_attn_dim": 24},
    "TFWav2Vec2ForSequenceClassification": {"use_weighted_layer_sum": True},
    "TFWav2Vec2ForAudioFrameClassification": {"feat_extract_activation": "prelu"},
    "TFWav2Vec2ForXVector": {},
    "TFWav2Vec2ForPreTraining": {"conv_bias": True},
}


class Constant:
    """Every entry is the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def check(self, values: np.ndarray) -> None:
        np.testing.assert_allclose(values, self.value, rtol=1e-6)


class Drawn:
    """Entries drawn from a distribution, judged by Kolmogorov's distance and by their deviation."""

    def __init__(self, deviation: float, distribution: Callable[[np.ndarray], np.ndarray]) -> None:
        self.deviation = deviation
        self.distribution = distribution

    def check(self, values: np.ndarray) -> None:
        values = np.sort(values.ravel())
        count = values.size
        expected = self.distribution(values)
        places = np.arange(count)
        distance = max((expected - places / count).max(), ((places + 1) / count - expected).max())
        # Beyond by chance once in a million draws.
        assert distance < 2.7 / np.sqrt(count)
        assert values.std() == pytest.approx(self.deviation, rel=5 / np.sqrt(2 * count))
        assert np.unique(values).size > 0.9 * count


def normal(deviation: float) -> Drawn:
    cdf = np.vectorize(NormalDist(0.0, deviation).cdf)
    return Drawn(deviation, cdf)


def uniform(low: float, high: float) -> Drawn:
    def cdf(values: np.ndarray) -> np.ndarray:
        assert values.min() >= low
        assert values.max() <= high
        return (values - low) / (high - low)

    return Drawn((high - low) / 12**0.5, cdf)


def uniform_fan_in(fan_in: int) -> Drawn:
    return uniform(-(fan_in**-0.5), fan_in**-0.5)


def expected_beginning(name: str, shapes: dict[str, tuple[int, ...]], config: Wav2Vec2Config) -> Any:
    """The distribution that the reference draws the weight ``name`` from."""
    shape = shapes[name]
    convolution = r"conv_layers\.\d+\.conv|adapter\.layers\.\d+\.conv"
    kernel = shapes.get(f"{name.rpartition('.')[0]}.kernel", shape)
    fan_in = int(np.prod(kernel[:-1]))
    rules: list[tuple[str, Any]] = [
        (r"gamma", Constant(1.0)),
        (r"beta", Constant(0.0)),
        (rf"({convolution})\.kernel", normal((2 / fan_in) ** 0.5)),
        (rf"({convolution})\.bias", uniform_fan_in(fan_in)),
        (
            r"feature_projection\.projection\.(kernel|bias)|project_(hid|q)\.(kernel|bias)",
            uniform_fan_in(fan_in),
        ),
        (r"pos_conv_embed\.conv\.weight_v", uniform_fan_in(int(np.prod(shape[:2])))),
        (r"masked_spec_embed|quantizer\.codevectors", uniform(0.0, 1.0)),
        (r"quantizer\.weight_proj\.kernel|objective\.weight", normal(1.0)),
        (r"layer_weights", Constant(1 / (config.num_hidden_layers + 1))),
        (r"activation\.weight", Constant(0.25)),
        # All that is left: linear layers, and the bias of the positional convolution.
        (r"kernel", normal(config.initializer_range)),
        (r"bias", Constant(0.0)),
    ]
    return next(rule for pattern, rule in rules if re.search(rf"(^|[._])({pattern})$", name))


def check_beginnings(model: Any, but: tuple[str, ...] = ()) -> None:
    variables = {name: to_numpy(variable) for name, variable in named_variables(model).items()}
    shapes = {name: values.shape for name, values in variables.items()}
    for name, values in variables.items():
        if name in but:
            continue
        if name.endswith("weight_g"):
            direction = variables[name.removesuffix("g") + "v"]
            # The kernel is what was drawn.
            np.testing.assert_allclose(values, np.sqrt((direction**2).sum((1, 2), keepdims=True)), rtol=1e-5)
            continue
        try:
            expected_beginning(name, shapes, model.config).check(values)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


def drawn_values(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    for name, variable in named_variables(model).items():
        values = to_numpy(variable).ravel()
        if values.size >= 8 and np.unique(values).size > 1 and not name.endswith("weight_g"):
            yield name, values


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    keras.utils.set_random_seed(0)
    return getattr(tfwav2vec2, request.param)(Wav2Vec2Config(**MIDDLE | MODELS[request.param]))


def test_every_weight_begins_as_the_references(model: Any) -> None:
    check_beginnings(model)


def test_no_two_weights_begin_with_the_same_draws(model: Any) -> None:
    """An initializer that is used twice would give the second weight the first one's numbers."""
    # Scaled, because the same draws may serve two widths.
    beginnings = {name: values[:8] / np.abs(values[:8]).max() for name, values in drawn_values(model)}
    names = list(beginnings)
    assert len(names) > 15
    for index, name in enumerate(names):
        for other in names[:index]:
            assert not np.allclose(beginnings[name], beginnings[other], rtol=1e-3), f"{name} and {other}"


def test_what_a_checkpoint_lacks_begins_alike(model: Any, tmp_path: Path) -> None:
    """A file with a single tensor of the model: all other weights are drawn as in a new one."""
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    kept, tensor = next(item for item in load_file(path).items() if item[0].endswith("q_proj.weight"))
    # A file much smaller than its configuration is refused.
    stranger = np.zeros(200_000, "float32")
    save_file({kept: np.full_like(tensor, 3.0), "stranger": stranger}, path, metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="fills .* in part"):
        loaded = type(model).from_pretrained(tmp_path, strict=False)
    name = kept.replace(".weight", ".kernel")
    assert (to_numpy(named_variables(loaded)[name]) == 3.0).all()
    check_beginnings(loaded, but=(name,))
