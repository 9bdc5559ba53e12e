"""Trains tiny models under one strategy, in a process of its own, and writes down what came of it.

    python -m tests.training.clustered SCENARIO FOLDER

A process of several is told its place by the environment, as users tell it. test_distribute.py starts the processes and
compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfwav2vec2
from tests.tiny import TINY
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.training.distribute import Cluster, distribute
from tfwav2vec2.training.resume import BackupAndResume

ROWS = 4
# Less than any gradient's norm here.
CLIP_NORM = 0.1
EPOCHS = 2

# Nothing is drawn, so that the rows of a batch cost the same whoever computes them.
STILL = {
    "hidden_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}
SMALLER = TINY | {"num_hidden_layers": 1, "word_delimiter_token_id": 4}
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "ctc_mean": ("TFWav2Vec2ForCTC", STILL | {"ctc_loss_reduction": "mean"}),
    "ctc_sum": ("TFWav2Vec2ForCTC", STILL | {"ctc_loss_reduction": "sum"}),
    "ctc_clipped": ("TFWav2Vec2ForCTC", STILL | {"ctc_loss_reduction": "mean"}),
    "ctc_drawing": ("TFWav2Vec2ForCTC", {"ctc_loss_reduction": "mean"}),
    "frames": ("TFWav2Vec2ForAudioFrameClassification", STILL | {"num_labels": 3}),
}


def make_model(head: str, *, metrics: Any = None) -> Any:
    """A model whose weights are the same in every process. Metrics are slow to trace."""
    keras.utils.set_random_seed(0)
    kind, fields = HEADS[head]
    model = getattr(tfwav2vec2, kind)(tfwav2vec2.Wav2Vec2Config(**SMALLER | fields))
    # An update in proportion to the gradient: an adaptive one would hide a wrong scale.
    clipped = {"global_clipnorm": CLIP_NORM, "learning_rate": 0.1} if head == "ctc_clipped" else {}
    model.compile(
        keras.optimizers.SGD(**{"learning_rate": 0.002, "momentum": 0.9, **clipped}), metrics=metrics
    )
    # Else the first step of a fit is traced twice.
    model.optimizer.build(model.trainable_variables)
    return model


def global_batches(head: str) -> list[dict[str, np.ndarray]]:
    """Two batches of clips of many lengths."""
    generator = np.random.default_rng(1)
    samples = 1500
    batches = []
    for _ in range(2):
        lengths = generator.integers(samples // 3, samples, ROWS)
        batches.append(
            {
                "input_values": generator.normal(size=(ROWS, samples)).astype("float32"),
                "attention_mask": (np.arange(samples) < lengths[:, None]).astype("int32"),
                "labels": _labels(head, samples, generator).astype("int32"),
            }
        )
    return batches


def _labels(head: str, samples: int, generator: np.random.Generator) -> np.ndarray:
    if head == "frames":
        frames = frame_lengths(tfwav2vec2.Wav2Vec2Config(**SMALLER), samples)
        return generator.integers(0, 3, (ROWS, frames))
    labels = generator.integers(1, TINY["vocab_size"], (ROWS, 4))
    labels[1, 1:] = -100
    return labels


def dataset(batches: list[dict[str, np.ndarray]], *, sharded: bool = False) -> Any:
    """What ``fit`` takes: the batches as they are; ``sharded`` tells TensorFlow that they are one worker's part."""
    if keras.backend.backend() == "jax":
        return Batches(batches)
    import tensorflow as tf

    signature = {
        name: tf.TensorSpec((len(values), *[None] * (values.ndim - 1)), values.dtype)
        for name, values in batches[0].items()
    }
    made = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    options = tf.data.Options()
    if sharded:
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.apply(tf.data.experimental.assert_cardinality(len(batches))).with_options(options)


class Batches(keras.utils.PyDataset):
    """Batches that are there already."""

    def __init__(self, batches: list[dict[str, np.ndarray]]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.batches[index]


class StepLogs(keras.callbacks.Callback):
    """Keeps what every step reports: the epoch so far."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))


def train(
    model: Any,
    head: str,
    cluster: Cluster,
    *,
    epochs: int = EPOCHS,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validate: bool = True,
) -> dict[str, Any]:
    """Train a model; the losses of its steps, its history and its weights."""
    steps = StepLogs()
    part, parts = cluster.shard
    rows = slice(part * ROWS // parts, (part + 1) * ROWS // parts)
    mine = [{name: values[rows] for name, values in batch.items()} for batch in global_batches(head)]
    with cluster.scope():
        history = model.fit(
            dataset(mine, sharded=parts > 1),
            validation_data=dataset(mine[:1], sharded=parts > 1) if validate else None,
            epochs=epochs,
            callbacks=[steps, *callbacks],
            verbose=0,
            shuffle=False,
        )
    weights = [keras.ops.convert_to_numpy(value).tolist() for value in model.trainable_variables]
    return {"losses": steps.losses, "history": history.history, "weights": weights}


def train_new(head: str, cluster: Cluster, *, measure: bool = False) -> tuple[Any, dict[str, Any]]:
    """A new model, and what came of training it: with ``measure``, its metrics and those of validation too."""
    with cluster.scope():
        model = make_model(head, metrics="default" if measure else None)
    return model, train(model, head, cluster, validate=measure)


def mirrored(folder: Path) -> dict[str, Any]:
    """One process, TensorFlow: every kind of loss on one device and on two; and shares of losses."""
    import tensorflow as tf

    from tfwav2vec2.training.replicas import share_of_loss

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    cluster = distribute("mirrored")

    @tf.function
    def shares() -> Any:
        def share() -> Any:
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            # The mean of three terms is 5; the other replica has none, whose mean is not a number.
            loss, terms = tf.cond(first, lambda: (5.0, 3), lambda: (np.nan, 0))
            return share_of_loss(loss, terms), share_of_loss(loss, None)

        return cluster.engine.run(share)

    found = [[float(value) for value in values.values] for values in shares()]
    return {
        "replicas": cluster.replicas,
        "shares": found,
        "same engine": distribute("mirrored").engine is cluster.engine,
        "accumulation": _accumulation_error(cluster),
        **{
            head: {
                # The workers' metrics are compared with these.
                "none": train_new(head, Cluster(), measure=head == "ctc_mean")[1],
                "mirrored": train_new(head, cluster)[1],
            }
            for head in ("ctc_mean", "ctc_sum", "ctc_clipped", "frames")
        },
    }


def _accumulation_error(cluster: Cluster) -> str:
    """What fit says of gradients that are to be accumulated."""
    with cluster.scope():
        model = make_model("ctc_mean")
        model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2))
        try:
            model.fit(dataset(global_batches("ctc_mean")), verbose=0, shuffle=False)
        except ValueError as error:
            return str(error)
    return "nothing"


def workers(folder: Path) -> dict[str, Any]:
    """One of several processes, TensorFlow: an epoch, then the rest from what was kept, after everything was lost."""
    cluster = distribute("multiworker")
    with cluster.scope():
        model = make_model("ctc_mean", metrics="default")
    backup = BackupAndResume(folder / str(cluster.process))
    first = train(model, "ctc_mean", cluster, epochs=1, callbacks=[backup])
    for variable in (*model.trainable_variables, *model.optimizer.variables):
        variable.assign(keras.ops.zeros_like(variable))
    rest = train(model, "ctc_mean", cluster, callbacks=[backup])
    if cluster.is_chief:
        # The others need not take part.
        model.save_weights(folder / "chief.weights.h5")
    with cluster.scope():
        # Whole batches, which TensorFlow divides.
        evaluated = model.evaluate(dataset(global_batches("ctc_mean")[:1]), verbose=0, return_dict=True)
    return {
        "shard": cluster.shard,
        "evaluated": evaluated,
        "lowest": cluster.lowest(10 - cluster.process),
        "ctc_mean": {"multiworker": rest | {"losses": first["losses"] + rest["losses"]}},
    }


def devices(folder: Path) -> dict[str, Any]:
    """One process, JAX: one device, the rows on two, the weights on two."""
    import jax

    jax.config.update("jax_num_cpu_devices", 2)
    found: dict[str, Any] = {"ctc_drawing": {}}
    for strategy in ("none", "data_parallel", "model_parallel"):
        model, found["ctc_drawing"][strategy] = train_new("ctc_drawing", distribute(strategy))
    variables = [*model.variables, *model.optimizer.variables]
    found["parts"] = {
        value.path: [value.shape, value.value.sharding.shard_shape(value.value.shape)] for value in variables
    }
    found["errors"] = _layout_errors(model)
    return found


def _layout_errors(model: Any) -> dict[str, str]:
    """What the check of the layout says of models that are not where they should be."""
    from tfwav2vec2.training.model_parallel import TransformerParallel

    two = TransformerParallel()
    one = TransformerParallel(model_shards=1)
    renamed = TransformerParallel()
    renamed.layout_map[".*/no_such_layer/kernel"] = (None, "model")
    odd = make_model("ctc_mean")
    odd.config.num_attention_heads = 3
    errors = {}
    for name, distribution, checked in (
        ("elsewhere", two, make_model("ctc_mean")),
        ("not divided", one, model),
        ("no such weight", renamed, model),
        ("heads", two, odd),
    ):
        try:
            distribution.check(checked)
        except ValueError as error:
            errors[name] = str(error)
    return errors


def processes(folder: Path) -> dict[str, Any]:
    """One of several processes, JAX."""
    cluster = distribute("data_parallel")
    _, trained = train_new("ctc_drawing", cluster)
    lowest = cluster.lowest(10 - cluster.process)
    return {"shard": cluster.shard, "lowest": lowest, "ctc_drawing": {"data_parallel": trained}}


SCENARIOS = {scenario.__name__: scenario for scenario in (mirrored, workers, devices, processes)}


if __name__ == "__main__":
    _, name, folder, answer = sys.argv
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Graphs of tiny models take longer to optimize than to run.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    Path(answer).write_text(json.dumps(SCENARIOS[name](Path(folder))), encoding="utf-8")
