"""Calling a model outside any traced function: pad to a bucket, run a compiled program, crop.

XLA compiles one shape at a time, so an eager call is rounded up to a bucket's shape (see :mod:`tfwav2vec2.audio.buckets`)
and runs that bucket's program. Padding never changes a result here, so neither does the bucket's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np

from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths
from tfwav2vec2.outputs import ModelOutput

JitCompile = bool | Literal["auto"]

# The torch backend runs every call as it comes.
_COMPILING_BACKENDS = ("tensorflow", "jax")

# On the CPU a program costs about 6 s to compile and saves about a fifth of a call, so one is made for a bucket that
# is seen this often (benchmarks/base_speed.py, benchmarks/cold_start.py).
CALLS_BEFORE_COMPILING_ON_CPU = 3


@dataclass
class CallSettings:
    """How one model is called: which buckets, and when a bucket's program is compiled.

    ``jit_compile``: True compiles at a bucket's first call, False never, "auto" at the first call on an accelerator and
    on JAX, and on TensorFlow's CPU once a bucket has been called often enough to pay for it, or is expected to be.
    """

    buckets: Buckets = field(default_factory=Buckets)
    jit_compile: JitCompile = "auto"
    programs: dict[tuple[Any, ...], Callable[..., Any]] = field(default_factory=dict)
    exact_programs: dict[tuple[Any, ...], Callable[..., Any]] = field(default_factory=dict)
    calls: dict[tuple[Any, ...], int] = field(default_factory=dict)
    expected: set[tuple[int, int]] = field(default_factory=set)

    def compiles(self, key: tuple[Any, ...]) -> bool:
        """Whether this call of the bucket ``key`` runs a compiled program; counts the call."""
        if keras.backend.backend() not in _COMPILING_BACKENDS:
            return False
        if self.jit_compile != "auto":
            return bool(self.jit_compile)
        if key[:2] in self.expected:
            return True
        self.calls[key] = self.calls.get(key, 0) + 1
        return self.calls[key] > (0 if _compiles_at_once() else CALLS_BEFORE_COMPILING_ON_CPU)


_FOR_CPU: ContextVar[bool] = ContextVar("a bucket's program for a CPU is traced", default=False)

# Kept outside the models, and weakly, so that neither saving nor copying a model meets compiled functions.
_SETTINGS: weakref.WeakKeyDictionary[keras.Model, CallSettings] = weakref.WeakKeyDictionary()


def settings_of(model: keras.Model) -> CallSettings:
    """The call settings of a model, with its programs; made on first use."""
    if model not in _SETTINGS:
        _SETTINGS[model] = CallSettings()
    return _SETTINGS[model]


def configure(model: keras.Model, buckets: Buckets | None, jit_compile: JitCompile | None) -> None:
    """Change a model's call settings; programs compiled so far are dropped."""
    if jit_compile not in (None, True, False, "auto"):
        raise ValueError(f"jit_compile must be True, False or 'auto'; got {jit_compile!r}")
    old = settings_of(model)
    _SETTINGS[model] = CallSettings(
        old.buckets if buckets is None else buckets, old.jit_compile if jit_compile is None else jit_compile
    )


def compiles_shapes(model: keras.Model) -> bool:
    """Whether a model's calls run programs, each of which is for one shape: new shapes then take seconds and memory."""
    return keras.backend.backend() in _COMPILING_BACKENDS and settings_of(model).jit_compile is not False


def expect_calls(model: keras.Model, rows: int, samples: int) -> None:
    """Say that many batches (rows, samples) will come, so that their program is worth compiling at the first."""
    settings = settings_of(model)
    settings.expected.add(settings.buckets.shape_for(rows, samples))


def is_program_for_cpu() -> bool:
    """Whether what is being traced becomes a bucket's program for a CPU, and no graph that is trained or exported."""
    return _FOR_CPU.get()


def _compiles_at_once() -> bool:
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))


def is_concrete(*tensors: Any) -> bool:
    """Whether the call is outside any trace, with values rather than symbols."""
    backend = keras.backend.backend()
    if any(isinstance(tensor, keras.KerasTensor) for tensor in tensors):
        return False
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.executing_eagerly())
    if backend == "jax":
        import jax

        return not any(isinstance(tensor, jax.core.Tracer) for tensor in tensors)
    return True


def call_bucketed(
    model: keras.Model, waveform: Any, lengths: Any, rows: int, samples: int, flags: dict[str, bool]
) -> ModelOutput | None:
    """Run a batch (rows, samples) through its bucket's program; None where the bucket does not compile yet.

    ``lengths`` (rows,) counts valid samples, None for all; ``flags`` are the model's output options.
    """
    settings = settings_of(model)
    shape = settings.buckets.shape_for(rows, samples)
    key = (*shape, *sorted(flags.items()))
    if not settings.compiles(key):
        return None
    if key not in settings.programs:
        settings.programs[key] = _make_program(model, shape, flags)
    if lengths is None:
        lengths = np.full((rows,), samples, dtype=np.int32)
    pad_rows, pad_samples = shape[0] - rows, shape[1] - samples
    output = settings.programs[key](waveform, lengths, pad_rows, pad_samples)
    return _crop(model, output, rows, samples) if pad_rows or pad_samples else output


def call_exact(model: keras.Model, tensors: dict[str, Any], flags: dict[str, bool]) -> ModelOutput | None:
    """Run a call that no bucket fits (labels, explicit masks) at its own shape: compiled on JAX, None elsewhere.

    JAX compiles every single operation of a call outside ``jit``, which takes far longer than compiling them together.
    """
    settings = settings_of(model)
    if keras.backend.backend() != "jax" or settings.jit_compile is False:
        return None
    key = (*sorted(tensors), *sorted(flags.items()))
    if key not in settings.exact_programs:
        settings.exact_programs[key] = _jit(weakref.proxy(model), flags)
    return settings.exact_programs[key](tensors)


def _inputs(waveform: Any, lengths: Any) -> dict[str, Any]:
    mask = keras.ops.arange(waveform.shape[1], dtype="int32")[None, :] < lengths[:, None]
    return {"input_values": waveform, "attention_mask": mask}


def _make_program(model: keras.Model, shape: tuple[int, int], flags: dict[str, bool]) -> Callable[..., Any]:
    model = weakref.proxy(model)  # the program must not keep alive the model that it is keyed by
    make = {"tensorflow": _tensorflow_program, "jax": _jax_program}[keras.backend.backend()]
    return make(model, shape, flags)


def _tensorflow_program(model: Any, shape: tuple[int, int], flags: dict[str, bool]) -> Callable[..., Any]:
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape[:1], tf.int32)]

    @tf.function(jit_compile=True, autograph=False, input_signature=signature)
    def evaluate(waveform: Any, lengths: Any) -> Any:
        return model(_inputs(waveform, lengths), training=False, return_dict=True, **flags)

    for_cpu = _FOR_CPU.set(not _compiles_at_once())
    try:
        # Called as a tf.function, the programs of several buckets would count as one that is retraced too often.
        program = evaluate.get_concrete_function()
    finally:
        _FOR_CPU.reset(for_cpu)

    def run(waveform: Any, lengths: Any, pad_rows: int, pad_samples: int) -> Any:
        # tf.pad rather than numpy's, so that a gradient tape sees through it.
        waveform = tf.pad(tf.cast(waveform, tf.float32), [[0, pad_rows], [0, pad_samples]])
        return program(waveform, tf.pad(tf.cast(lengths, tf.int32), [[0, pad_rows]]))

    return run


def _jax_program(model: Any, shape: tuple[int, int], flags: dict[str, bool]) -> Callable[..., Any]:
    program = _jit(model, flags, prepare=lambda tensors: _inputs(**tensors))

    def run(waveform: Any, lengths: Any, pad_rows: int, pad_samples: int) -> Any:
        # numpy's pad: JAX would compile its own for every shape.
        waveform = np.pad(np.asarray(waveform, np.float32), [(0, pad_rows), (0, pad_samples)])
        lengths = np.pad(np.asarray(lengths, np.int32), [(0, pad_rows)])
        return program({"waveform": waveform, "lengths": lengths})

    return run


def _jit(
    model: Any, flags: dict[str, bool], prepare: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> Callable[[dict[str, Any]], Any]:
    """A model's evaluation under ``jax.jit``, its weights as arguments; ``prepare`` makes its inputs inside."""
    import jax

    @jax.jit
    def program(trainable: Any, other: Any, tensors: dict[str, Any]) -> Any:
        inputs = prepare(tensors)
        return model.stateless_call(trainable, other, inputs, training=False, return_dict=True, **flags)[0]

    def run(tensors: dict[str, Any]) -> Any:
        trainable = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        return program(trainable, other, tensors)

    return run


def _crop(model: Any, output: ModelOutput, rows: int, samples: int) -> ModelOutput:
    """The rows and frames that an unpadded call would have given."""
    frames = frame_lengths(model.config, samples)
    last = adapter_lengths(model.config, frames)
    sizes = {"last_hidden_state": last, "logits": last}

    def crop(name: str, tensor: Any) -> Any:
        if name in output.per_batch:
            return tensor
        if name in output.per_row:
            return _slice(tensor, (rows,))
        if name == "attentions":
            return tuple(_slice(item, (rows, item.shape[1], frames, frames)) for item in tensor)
        if name == "hidden_states":
            return tuple(_slice(item, (rows, frames)) for item in tensor)
        return _slice(tensor, (rows, sizes.get(name, frames)))

    return type(output)((name, crop(name, tensor)) for name, tensor in output.items())


def _slice(tensor: Any, sizes: tuple[int, ...]) -> Any:
    place = tuple(slice(size) for size in sizes)
    if keras.backend.backend() == "jax":
        # Through numpy: JAX would compile one slice for every length.
        return keras.ops.convert_to_tensor(np.asarray(tensor)[place])
    return tensor[place]
