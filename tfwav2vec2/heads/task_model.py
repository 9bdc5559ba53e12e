"""What the heads share: the backbone below, the task's loss and metrics as ``compile``'s defaults, and freezing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import keras
from keras import ops

from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.backbone.pretrained import Inputs, TFWav2Vec2PreTrainedModel
from tfwav2vec2.backbone.wav2vec2 import TFWav2Vec2Model
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.outputs import ModelOutput, Wav2Vec2BaseModelOutput
from tfwav2vec2.training.one_pass_adam import update_in_one_pass
from tfwav2vec2.training.replicas import SharedTraining, share_of_loss
from tfwav2vec2.training.resumable_fit import ResumableFit

# What ``compile`` takes for the task's own metrics.
DEFAULT = "default"


@dataclass(frozen=True)
class _Metrics:
    """The metrics that ``compile`` was given: those that read whole outputs, and Keras's own.

    The class hides the former from Keras, which takes metrics that are attributes for parts of the model.
    """

    given: Any = None
    of_task: tuple[TaskMetric, ...] = ()
    of_keras: Any = None

    @classmethod
    def of(cls, given: Any) -> Self:
        if not isinstance(given, (list, tuple)):
            return cls(given, (), given)
        of_task = [metric for metric in given if isinstance(metric, TaskMetric)]
        return cls(given, tuple(of_task), [metric for metric in given if metric not in of_task] or None)


class TFWav2Vec2TaskModel(ResumableFit, SharedTraining, TFWav2Vec2PreTrainedModel):
    """A backbone with a head. A subclass makes the head's parts, answers a call, and knows the task's loss and metrics."""

    _metrics_given = _Metrics()

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.wav2vec2 = TFWav2Vec2Model(config, name="wav2vec2", dtype=self.dtype_policy)

    @property
    def head_width(self) -> int:
        """The width of the frames that the head reads."""
        return self.config.output_hidden_size if self.config.add_adapter else self.config.hidden_size

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """The loss, a number, of an output of this model against labels, as the configuration describes it."""
        raise NotImplementedError

    def loss_terms(self, labels: Any, output: ModelOutput) -> Any | None:
        """How many terms the task's loss is the mean of: the labels that count. None where it is a sum."""
        return ops.sum(ops.cast(ops.convert_to_tensor(labels) >= 0, "int32"))

    def task_metrics(self) -> list[TaskMetric]:
        """New metrics of the task, which ``compile`` uses by default."""
        raise NotImplementedError

    def respond(
        self, kind: type[ModelOutput], inputs: Inputs, encoded: Wav2Vec2BaseModelOutput, **fields: Any
    ) -> Any:
        """The answer to a call: the head's ``fields``, the loss where there are labels, and what the backbone tells.

        A tuple where the caller asked for one.
        """
        output = kind.of(
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            frame_lengths=encoded.frame_lengths,
            **fields,
        )
        if inputs.labels is not None:
            output = kind.of(loss=self.task_loss(inputs.labels, output), **output)
        return output if inputs.wants_dict(self.config) else output.to_tuple()

    def freeze_base_model(self) -> None:
        """Keep the backbone as it is in training, so that the head alone learns (reference: ``freeze_base_model``)."""
        self.wav2vec2.trainable = False

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        metrics: Any = DEFAULT,
        weighted_metrics: Any = None,
        jit_compile: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        """Configure training as ``keras.Model.compile`` does; without a ``loss``, the task's own is used.

        The arguments are saved in ``.keras`` files, and with them which weights are frozen: a loaded model goes on as it
        was.

        Args:
            optimizer: as Keras takes it.
            loss: one for the logits, or a dictionary of losses by the names of outputs. None is the task's own.
            metrics: ``"default"`` gives the task's own, as long as the loss is the task's too. A list may hold this
                package's, which read the whole output, and any that Keras takes, which read the logits; a dictionary names
                the outputs that Keras's read. None or an empty list gives none.
            weighted_metrics: a list or dictionary of Keras's metrics, which regard sample weights.
            jit_compile: ``"auto"`` compiles training steps on accelerators and on JAX, but not on TensorFlow's CPU, where
                compiling each shape costs more than it saves, nor for several replicas of TensorFlow, as Keras does.
            kwargs: what else Keras takes.
        """
        self._jit_compile_given = jit_compile
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            several = tf.distribute.get_strategy().num_replicas_in_sync > 1
            jit_compile = bool(tf.config.list_physical_devices("GPU")) and not several
        if isinstance(metrics, str) and metrics == DEFAULT:
            self._metrics_given = _Metrics(DEFAULT, tuple(self.task_metrics()) if loss is None else ())
        else:
            self._metrics_given = _Metrics.of(metrics)
        self._weighted_metrics_given = weighted_metrics
        # Where this call gives none, Keras would keep an earlier call's.
        self._compile_loss = self._compile_metrics = None
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=self._metrics_given.of_keras,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )
        update_in_one_pass(self.optimizer)
        self._uses_own_loss = loss is None

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss and all metrics of ``fit`` and ``evaluate``."""
        return [*super().metrics, *self._metrics_given.of_task]

    def get_compile_config(self) -> dict[str, Any]:
        """What ``compile`` was given, and the names of the frozen weights, as plain data for ``.keras`` files."""
        config = super().get_compile_config()
        if not config:
            return config
        own = {"metrics": self._metrics_given.given, "jit_compile": self._jit_compile_given}
        frozen = [name for name, variable in named_variables(self).items() if not variable.trainable]
        return config | keras.saving.serialize_keras_object(own | {"frozen": frozen})

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as :meth:`get_compile_config` tells, and freeze what was frozen."""
        config = keras.saving.deserialize_keras_object(config)
        frozen = set(config.pop("frozen", ()))
        for name, variable in named_variables(self).items():
            if name in frozen:
                variable.trainable = False
        self.compile(**config)
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a training step: what was given to ``compile``, else the task's over ``labels`` in x, or over y.

        Raises:
            ValueError: where there are no labels.
        """
        in_x = x.get("labels") if isinstance(x, Mapping) else None
        if in_x is None and y is None:
            raise ValueError(
                "fit needs labels: put 'labels' into the dictionary of inputs, or give pairs (inputs, labels)"
            )
        if not self._uses_own_loss:
            labels, chosen = _chosen(self.loss, in_x if y is None else y, y_pred)
            return super().compute_loss(x, labels, chosen, sample_weight, training)
        labels, loss = (y, self.task_loss(y, y_pred)) if in_x is None else (in_x, y_pred["loss"])
        return share_of_loss(loss, self.loss_terms(labels, y_pred))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update all metrics with a step's labels and output, and return their values so far by name."""
        labels = x["labels"] if y is None and isinstance(x, Mapping) and "labels" in x else y
        for metric in self._metrics_given.of_task:
            metric.update_state(labels, y_pred)
        of_keras = self._metrics_given.of_keras or self._weighted_metrics_given
        if of_keras:
            labels, y_pred = _chosen(of_keras, labels, y_pred)
        return super().compute_metrics(x, labels, y_pred, sample_weight)


def _chosen(asked: Any, labels: Any, output: ModelOutput) -> tuple[Any, Any]:
    """What Keras's losses or metrics read: labels, and the fields that a dictionary of them names, else the logits."""
    if not isinstance(asked, Mapping):
        return labels, output["logits"]
    fields = {name: output[name] for name in asked}
    return labels if isinstance(labels, Mapping) else dict.fromkeys(fields, labels), fields
