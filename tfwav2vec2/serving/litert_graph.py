"""A model's graph in LiteRT's format: what TensorFlow's converter is given, so that it needs built-in operators alone."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from tfwav2vec2.serving.endpoints import SAMPLES, endpoints
from tfwav2vec2.serving.engines import FIXED, RESIZABLE

# What stands for the activations that are GELU: the operator of phones' GPUs is the tanh approximation.
_TANH_GELU = "gelu_pytorch_tanh"
_GELUS = {"gelu", "gelu_python"}


def convert(model: Any, processor: Any, lengths: Sequence[int], for_gpu: bool) -> bytes:
    """The file's content, in float32, with the signatures that :func:`~tfwav2vec2.serving.litert.export_litert` names.

    Raises:
        ValueError: where an operator is not one of LiteRT's.
    """
    function = endpoints(model, processor)["serving_default"].function
    archive = keras.export.ExportArchive()
    archive.track(model)
    with tempfile.TemporaryDirectory() as folder, _whole_products(model):
        for name, signature in _signatures(lengths, for_gpu).items():
            archive.add_endpoint(name, function, input_signature=list(signature))
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(_signatures(lengths, for_gpu))
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return converter.convert()
        except ConverterError as error:
            # Thousands of lines, one of which names the operators that LiteRT does not have.
            said = re.search(r"(?:Custom|Flex) ops: .+", str(error)) or re.match(".{0,300}", str(error))
            raise ValueError(
                f"The model does not convert to LiteRT ({said[0]}); nothing was written. Please report this with the "
                "model's config.json"
            ) from error


def variant(model: Any, for_gpu: bool) -> Any:
    """The model as it is converted: in float32, and for GPUs with the tanh approximation of GELU in place of GELU.

    The same object, where it is so already.
    """
    config = model.config
    changes = {
        name: _TANH_GELU
        for name in ("hidden_act", "feat_extract_activation")
        if for_gpu and getattr(config, name) in _GELUS
    }
    if not changes and keras.backend.standardize_dtype(model.compute_dtype) == "float32":
        return model
    # With LoRA's weights, where there are any.
    made_of = model.get_config() | {"dtype": "float32", "config": config.to_dict() | changes}
    changed = type(model).from_config(made_of)
    changed.set_weights(model.get_weights())
    return changed


def _signatures(lengths: Sequence[int], for_gpu: bool) -> dict[str, tuple[tf.TensorSpec, ...]]:
    fixed = {
        f"{FIXED}{samples}": (
            tf.TensorSpec((1, samples), tf.float32, name="waveform"),
            tf.TensorSpec((1,), tf.int32, name="lengths"),
        )
        for samples in sorted(set(lengths))
    }
    if for_gpu:
        return {name: signature[:1] for name, signature in fixed.items()}
    return {RESIZABLE: SAMPLES, **fixed}


@contextmanager
def _whole_products(model: Any) -> Iterator[None]:
    """Let dense layers be one product of (batch, frames, inputs), which LiteRT has an operator for.

    Keras reshapes to a matrix and back. Where sizes are not known, the converter cannot see through that: it then leaves
    the scale of the norm before in place, which it multiplies into the weights where sizes are known, and the file would
    hold every weight twice.
    """
    layers = [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Dense]
    before = [layer.call for layer in layers]
    try:
        for layer in layers:
            layer.call = _product_of(layer)
        yield
    finally:
        for layer, call in zip(layers, before, strict=True):
            layer.call = call


def _product_of(layer: keras.layers.Dense) -> Callable[..., Any]:
    def call(inputs: Any, training: bool | None = None) -> Any:
        result = tf.linalg.matmul(inputs, tf.convert_to_tensor(layer.kernel))
        if layer.use_bias:
            result = tf.nn.bias_add(result, tf.convert_to_tensor(layer.bias))
        return result if layer.activation is None else layer.activation(result)

    return call


def check_builtin(content: bytes) -> None:
    """Make sure that a file needs the runtime's own operators alone.

    Raises:
        ValueError: for one that needs a custom operator or one of TensorFlow's (Flex).
    """
    from ai_edge_litert.schema_py_generated import ModelT

    codes = ModelT.InitFromPackedBuf(content, 0).operatorCodes
    custom = sorted({code.customCode.decode() for code in codes if code.customCode})
    if custom:
        raise ValueError(
            f"The model needs operators that LiteRT does not have built in ({', '.join(custom)}), so that a phone could "
            "not run it; nothing was written. Please report this with the model's config.json"
        )
