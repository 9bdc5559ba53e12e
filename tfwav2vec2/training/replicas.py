"""What ``fit`` needs beyond Keras's own where a model is trained on several devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfwav2vec2.training.model_parallel import TransformerParallel


def share_of_loss(loss: Any, terms: Any | None) -> Any:
    """The part of a global batch's loss that one replica adds, so that the parts of all replicas sum to it.

    TensorFlow runs a step once for each replica, on its rows alone, and Keras sums the gradients. JAX runs one step
    on the global batch, whose loss is whole.

    Args:
        loss: the loss of this replica's rows.
        terms: how many terms the loss is the mean of; None where it is a sum.

    Returns:
        A number; zero where none of the terms is this replica's.
    """
    if terms is None or keras.backend.backend() != "tensorflow":
        return loss
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    # Between the replicas, where Keras traces shapes, there is nothing to share.
    if replica is None or replica.num_replicas_in_sync == 1:
        return loss
    terms = tf.cast(terms, loss.dtype)
    everyone = replica.all_reduce(tf.distribute.ReduceOp.SUM, terms)
    # The mean of nothing is NaN, and its share is zero.
    return tf.math.multiply_no_nan(loss, terms / tf.maximum(everyone, 1.0))


def rows_of_all_replicas(*rows: Any) -> tuple[list[Any], Any]:
    """The rows of a global batch, of which one replica has its own: for measures that compare them with each other.

    Args:
        rows: tensors (rows, ...) of this replica.

    Returns:
        The tensors (all rows, ...), the same for every replica, and which of these rows is this replica's first.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            counts = replica.all_gather(tf.shape(rows[0])[:1], axis=0)
            first = tf.reduce_sum(counts[: replica.replica_id_in_sync_group])
            return [replica.all_gather(values, axis=0) for values in rows], first
    return list(rows), 0


def clip_sums(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer clip the gradients of a global batch. Keras's on TensorFlow clip each replica's, and then sum them."""
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # One that holds several optimizers has none of these.
    if not any(getattr(inner, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue")):
        return

    def clip(gradients: Any) -> list[Any]:
        replica = tf.distribute.get_replica_context()
        sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        # Of what every replica passes on, Keras makes the sum.
        return [
            gradient / replica.num_replicas_in_sync for gradient in type(inner)._clip_gradients(inner, sums)
        ]

    inner._clip_gradients = clip


def divide_rows(dataset: Any, parts: int) -> Any:
    """The rows of every batch of a ``tf.data.Dataset`` in ``parts`` batches, one after the other.

    A batch whose rows are no multiple of ``parts`` raises InvalidArgumentError when it is read.
    """
    if parts == 1:
        return dataset
    import tensorflow as tf

    def divide(values: Any) -> Any:
        shape = tf.shape(values)
        whole = tf.debugging.assert_equal(
            shape[0] % parts, 0, f"The rows of a batch must be a multiple of the {parts} devices of a worker"
        )
        with tf.control_dependencies([whole]):
            return tf.reshape(values, tf.concat([[parts, shape[0] // parts], shape[1:]], axis=0))

    def divide_all(*batch: Any) -> Any:
        return keras.tree.map_structure(divide, batch[0] if len(batch) == 1 else batch)

    # `unbatch` knows how many batches come out, and asserts nothing: fit asks for the number before the data are read.
    return dataset.map(divide_all).unbatch()


class SharedTraining:
    """Trains a Keras model of this package under every strategy of :mod:`~tfwav2vec2.training.distribute`.

    Under ``MultiWorkerMirroredStrategy`` Keras's own steps fail (keras-team/keras#20585): it reduces numbers over a batch
    axis that they do not have. Here ``fit`` and ``evaluate`` get steps that reduce them as they are, and keep everything
    else: callbacks, metrics, history and validation. A ``tf.data.Dataset`` that says that nobody shall shard it
    (``AutoShardPolicy.OFF``) holds the worker's own rows of every batch; any other holds whole batches.
    """

    def fit(self, x: Any = None, *arguments: Any, **options: Any) -> keras.callbacks.History:
        """Train as ``keras.Model.fit`` does."""
        if options.get("validation_data") is not None:
            options["validation_data"] = self._rows_of_worker(options["validation_data"])
        return super().fit(self._rows_of_worker(x), *arguments, **options)

    def evaluate(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """Compute the loss and the metrics as ``keras.Model.evaluate`` does."""
        return super().evaluate(self._rows_of_worker(x), *arguments, **options)

    def make_train_function(self, force: bool = False) -> Any:
        """Make what ``fit`` runs for a step (Keras calls it).

        Raises:
            ValueError: for a model that does not lie on its devices as the strategy says, and for gradients that are
                accumulated over several steps and several replicas of TensorFlow, of which Keras can do one.
        """
        distribution = keras.distribution.distribution()
        if isinstance(distribution, TransformerParallel):
            distribution.check(self)
        if getattr(self.optimizer, "gradient_accumulation_steps", None) and self._has_replicas():
            raise ValueError(
                "Keras cannot accumulate gradients over several replicas of TensorFlow; make the optimizer without "
                "gradient_accumulation_steps, or use the strategy 'data_parallel' of JAX"
            )
        self._build_optimizer()
        if self._has_replicas():
            clip_sums(self.optimizer)
        if not self._has_workers():
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = _steps_of_workers(self, self.train_step)
        return self.train_function

    def _build_optimizer(self) -> None:
        """Make the optimizer's variables, as Keras does within the first step.

        TensorFlow traces a step that makes variables twice, which takes twice the time and the memory.
        """
        if (
            keras.backend.backend() == "tensorflow"
            and self.optimizer is not None
            and not self.optimizer.built
        ):
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def make_test_function(self, force: bool = False) -> Any:
        """Make what ``evaluate`` runs for a step (Keras calls it)."""
        if not self._has_workers():
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = _steps_of_workers(self, self.test_step)
        return self.test_function

    def _has_replicas(self) -> bool:
        """Whether the model was made under a strategy of several replicas of TensorFlow."""
        return keras.backend.backend() == "tensorflow" and self.distribute_strategy.num_replicas_in_sync > 1

    def _has_workers(self) -> bool:
        """Whether the model was made under a strategy of several TensorFlow processes."""
        if keras.backend.backend() != "tensorflow":
            return False
        import tensorflow as tf

        return isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def _rows_of_worker(self, data: Any) -> Any:
        """Data as they are, or those that hold one worker's rows with these divided among the worker's devices."""
        if not self._has_workers():
            return data
        import tensorflow as tf

        off = tf.data.experimental.AutoShardPolicy.OFF
        if (
            not isinstance(data, tf.data.Dataset)
            or data.options().experimental_distribute.auto_shard_policy != off
        ):
            return data
        strategy = self.distribute_strategy
        divided = divide_rows(data, len(strategy.extended.worker_devices))
        return strategy.distribute_datasets_from_function(lambda _: divided)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Let Keras build the metrics from one batch's shapes: among workers, from the rows of this one."""
        if iterator is not None and self._has_workers():
            _, _, batches = next(iter(iterator))
            local = self.distribute_strategy.experimental_local_results
            data_batch = keras.tree.map_structure(lambda values: local(values)[0], next(batches))
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)


def _steps_of_workers(model: Any, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of an iterator that runs ``steps_per_execution`` steps and returns the last one's logs."""
    import tensorflow as tf

    strategy = model.distribute_strategy

    def step_on(batch: Any) -> Any:
        logs = strategy.run(step, args=(batch,))
        return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), logs)

    def next_step(iterator: Any) -> Any:
        return step_on(next(iterator))

    if not model.run_eagerly:
        step_on = tf.function(step_on, reduce_retracing=True, jit_compile=model.jit_compile)
        # From inside a graph an iterator says which sizes vary, so that one trace serves them all.
        traced = tf.function(lambda iterator: step_on(iterator.get_next()))
        plain_step = next_step

        def next_step(iterator: Any) -> Any:
            distributed = isinstance(iterator, tf.distribute.DistributedIterator)
            return traced(iterator) if distributed else plain_step(iterator)

    def steps(iterator: Any) -> Any:
        logs = next_step(iterator)
        for _ in range(model.steps_per_execution - 1):
            try:
                logs = next_step(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                break
        return logs

    return steps
