"""What every model of the family shares: configuration, inputs, the compiled call, prediction, freezing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import keras
from keras import ops

from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.backbone.compiled_call import (
    JitCompile,
    call_bucketed,
    call_exact,
    configure,
    is_concrete,
    settings_of,
)
from tfwav2vec2.backbone.layers import PartMaker
from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths, shortest_clip
from tfwav2vec2.backbone.prediction import predict_batches
from tfwav2vec2.backbone.trainable import Trainable
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.outputs import register_pytrees
from tfwav2vec2.weights.hub import PretrainedModel

if TYPE_CHECKING:
    from tfwav2vec2.training.lora import LoraSettings

register_pytrees()

# Set while a model runs, so that the models inside it run as plain layers.
_inside_call: ContextVar[bool] = ContextVar("inside_model_call", default=False)


@dataclass(frozen=True)
class Inputs:
    """The arguments of a call, whether they came as arguments or as one dictionary."""

    input_values: Any
    attention_mask: Any = None
    mask_time_indices: Any = None
    sampled_negative_indices: Any = None
    labels: Any = None
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None
    return_dict: bool | None = None

    # What belongs to one shape of the frames, so that no bucket fits it.
    explicit_fields: ClassVar[tuple[str, ...]] = ("mask_time_indices", "sampled_negative_indices", "labels")

    @classmethod
    def of(cls, input_values: Any, **others: Any) -> Inputs:
        """Gather the arguments; a dictionary in the first place gives those that are not given beside it.

        Raises:
            ValueError: for a dictionary without ``input_values`` or with a key that is no argument.
        """
        if not isinstance(input_values, Mapping):
            return cls(input_values, **others)
        names = [field.name for field in fields(cls)]
        if set(input_values) - set(names) or "input_values" not in input_values:
            raise ValueError(
                f"A model takes a dictionary with input_values and perhaps {', '.join(names[1:])}; "
                f"got {', '.join(map(repr, input_values))}"
            )
        given = {name: value for name, value in others.items() if value is not None}
        return cls(**{**input_values, **given})

    def wants_dict(self, config: Wav2Vec2Config) -> bool:
        """Whether an output object is returned rather than a tuple."""
        return config.use_return_dict if self.return_dict is None else self.return_dict

    def wants_attentions(self, config: Wav2Vec2Config) -> bool:
        """Whether the attention probabilities are returned."""
        return bool(config.output_attentions if self.output_attentions is None else self.output_attentions)

    def wants_hidden_states(self, config: Wav2Vec2Config) -> bool:
        """Whether the states between the layers are returned."""
        return bool(
            config.output_hidden_states if self.output_hidden_states is None else self.output_hidden_states
        )

    def sample_lengths(self) -> Any:
        """Valid samples of each row (batch,), or None where every sample counts."""
        if self.attention_mask is None:
            return None
        return ops.sum(ops.cast(self.attention_mask, "int32"), axis=-1)

    def check(self, config: Wav2Vec2Config) -> None:
        """Refuse, outside a trace, what would give a wrong answer.

        Raises:
            ValueError: for a waveform that is not (batch, samples) or shorter than one frame, or a mask of another
                shape or with padding anywhere but at the end.
        """
        check_shape(config, self.input_values)
        if self.attention_mask is None:
            return
        mask = ops.convert_to_numpy(self.attention_mask).astype(bool)
        if mask.shape != tuple(self.input_values.shape):
            raise ValueError(
                f"attention_mask has the shape {mask.shape}, input_values {tuple(self.input_values.shape)}; "
                "they must be the same"
            )
        if (mask[:, 1:] & ~mask[:, :-1]).any():
            raise ValueError(
                "attention_mask has zeros before ones; padding must stand at the end (padding_side='right')"
            )

    def tensors(self) -> dict[str, Any]:
        """The arguments that are tensors, those that were given."""
        names = ("input_values", "attention_mask", *self.explicit_fields)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing beside the waveform and its mask."""
        return all(getattr(self, name) is None for name in self.explicit_fields)

    def waveform_and_lengths(self, *, silence_padding: bool) -> tuple[Any, Any]:
        """The waveform (batch, samples) and the valid samples of each row, the padding replaced by zeros if asked."""
        waveform = self.input_values
        lengths = self.sample_lengths()
        if lengths is not None and silence_padding:
            valid = ops.arange(ops.shape(waveform)[1], dtype="int32")[None, :] < lengths[:, None]
            waveform = ops.where(valid, waveform, ops.zeros((), dtype=waveform.dtype))
        return waveform, lengths


def check_shape(config: Wav2Vec2Config, waveform: Any) -> None:
    """Refuse a waveform that is not (batch, samples), or too short for a single frame, as far as its shape is known."""
    shape = tuple(waveform.shape)
    if len(shape) != 2:
        raise ValueError(f"input_values must be (batch, samples); got the shape {shape}")
    shortest = shortest_clip(config)
    if isinstance(shape[1], int) and shape[1] < shortest:
        raise ValueError(
            f"A clip of {shape[1]} samples is shorter than one frame of {shortest} samples; pad it with silence"
        )


class TFWav2Vec2PreTrainedModel(PartMaker, PretrainedModel, Trainable, keras.Model):
    """The base of every model: a configuration, and weights that come from and go to the hub.

    Reference: ``Wav2Vec2PreTrainedModel``.

    Attributes:
        config: the configuration.
        lora: what :func:`~tfwav2vec2.training.lora.enable_lora` was asked for; None without LoRA.
    """

    lora: LoraSettings | None = None

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.built = True

    # --- calling -----------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model; outside a traced function and outside training, by a compiled program of its bucket."""
        if _inside_call.get():
            return super().__call__(*args, **kwargs)
        # By name: by position Keras takes tensors alone.
        arguments = dict(inspect.signature(self.call).bind(*args, **kwargs).arguments)
        token = _inside_call.set(True)
        try:
            output = self._call_compiled(**arguments)
            return super().__call__(arguments.pop("input_values"), **arguments) if output is None else output
        finally:
            _inside_call.reset(token)

    def _call_compiled(self, training: bool = False, **arguments: Any) -> Any:
        """The output of the bucket's program, or None where the call has to run as it is."""
        inputs = Inputs.of(**arguments)
        waveform = inputs.input_values
        if training or not is_concrete(waveform, inputs.attention_mask, inputs.labels):
            return None
        self.check_inputs(inputs)
        flags = {
            "output_attentions": inputs.wants_attentions(self.config),
            "output_hidden_states": inputs.wants_hidden_states(self.config),
        }
        if inputs.is_plain and self.padding_is_neutral():
            rows, samples = waveform.shape
            output = call_bucketed(self, waveform, inputs.sample_lengths(), rows, samples, flags)
        else:
            output = call_exact(self, inputs.tensors(), flags)
        if output is None or inputs.wants_dict(self.config):
            return output
        return output.to_tuple()

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, inputs that would give a wrong answer; heads add what they know of labels."""
        inputs.check(self.config)

    def padding_is_neutral(self) -> bool:
        """Whether padding, that of a bucket or of longer clips in a batch, leaves the frames of a clip as they are."""
        config = self.config
        if config.add_adapter and config.adapter_kernel_size != 3:
            return False
        return config.feature_norm_mask or (config.feat_extract_norm == "layer" and not config.add_adapter)

    def configure_call(
        self, *, buckets: Buckets | None = None, jit_compile: JitCompile | None = None
    ) -> TFWav2Vec2PreTrainedModel:
        """Set how the model runs outside traced functions, and return it.

        A compiled program is one operation to TensorFlow's gradient tape: gradients with respect to what is inside,
        such as the hidden states, need ``jit_compile=False``.

        Args:
            buckets: the shapes that batches are padded to.
            jit_compile: True runs a compiled program from a bucket's first call, False never, "auto" (the default)
                wherever it pays: always on an accelerator and on JAX, on TensorFlow's CPU for a bucket that returns.
        """
        configure(self, buckets, jit_compile)
        return self

    @property
    def compiled_programs(self) -> int:
        """How many programs have been compiled for calls outside traced functions."""
        return len(settings_of(self).programs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Run over arrays, a dictionary of them, or an iterable of batches of any lengths; numpy arrays come back.

        Batches may differ in length: frames are padded at the end to the longest, with blanks in CTC logits and zeros
        elsewhere, and ``frame_lengths`` tells how many are valid. Otherwise as ``keras.Model.predict``.
        """
        return predict_batches(self, x, batch_size, verbose, steps, callbacks)

    def padding_frame(self, name: str) -> Any:
        """What ``predict`` writes into the frames that it adds to the output ``name``: a number, or one frame's values."""
        return 0.0

    # --- lengths -----------------------------------------------------------------------------------------------

    def frame_lengths(self, sample_lengths: Any) -> Any:
        """How many frames come out for each number of samples: an int, or an integer tensor (batch,).

        Reference: ``_get_feat_extract_output_lengths``.
        """
        return adapter_lengths(self.config, frame_lengths(self.config, sample_lengths))

    # --- serialization -----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, and LoRA's settings, for ``.keras`` files."""
        config = {"name": self.name, "dtype": keras.dtype_policies.serialize(self.dtype_policy)} | {
            "config": self.config.to_dict()
        }
        return config if self.lora is None else config | {"lora": asdict(self.lora)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that :meth:`get_config` described, with new weights."""
        dtype = keras.dtype_policies.deserialize(config["dtype"], custom_objects)
        model = cls(Wav2Vec2Config.from_dict(config["config"]), name=config["name"], dtype=dtype)
        if "lora" in config:
            from tfwav2vec2.training.lora import enable_lora

            enable_lora(model, **config["lora"])
        return model
