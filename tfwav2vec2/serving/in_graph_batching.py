"""Concurrent calls of an exported model put together inside its graph, whatever their lengths."""

from __future__ import annotations

import uuid
from typing import Any

import tensorflow as tf

from tfwav2vec2.outputs import ModelOutput
from tfwav2vec2.serving.batching_options import BatchingOptions

# The outputs that signatures read; what else a configuration makes a model give is not carried through the queue.
_READ = ("logits", "embeddings", "last_hidden_state", "frame_lengths")


class BatchedModel:
    """A model behind a queue: calls that run at the same time in one session become one batch.

    TensorFlow's operation ``BatchFunction`` joins tensors that differ in their first dimension alone, and recordings
    differ in their second. So each row travels as one string, serialized with its own length, and is padded only once
    the batch is known; what a model gives for each frame comes back in the same way. Rows of all signatures that are
    made of one object share the queue.

    Args:
        model: a model of this package.
        options: the queue's numbers.

    Raises:
        ValueError: for a model whose answers depend on what a recording is batched with.
    """

    def __init__(self, model: Any, options: BatchingOptions) -> None:
        if not model.padding_is_neutral():
            raise ValueError(
                "This model's configuration (feature_norm_mask=False, or an adapter of an unusual kernel) makes padding "
                "change its answers: set config.feature_norm_mask to True, or export it without in_graph_batching"
            )
        self._model = model
        self._options = options
        # Sessions that share their resources, as those of two versions may, must not share a queue.
        self._queue = f"{type(model).__name__}-{uuid.uuid4().hex}"
        self._framed: dict[str, tf.Tensor] = {}
        self._output_class: type[ModelOutput] = ModelOutput
        self._compute = tf.function(self._of_rows, autograph=False).get_concrete_function(
            tf.TensorSpec((None,), tf.string)
        )

    def __call__(self, values: tf.Tensor, lengths: tf.Tensor) -> ModelOutput:
        """The model's output for (batch, samples) and (batch,), computed with that of other calls.

        Frames behind a row's own are 0.

        Raises:
            tf.errors.UnavailableError: when the graph runs, where the queue is full.
            tf.errors.InvalidArgumentError: when the graph runs, for more rows than the queue holds.
        """
        options = self._options
        outputs = tf.raw_ops.BatchFunction(
            in_tensors=[_to_strings(values, lengths)],
            captured_tensors=self._compute.captured_inputs,
            f=self._compute,
            Tout=[output.dtype for output in self._compute.outputs],
            num_batch_threads=options.num_batch_threads,
            batch_timeout_micros=options.batch_timeout_micros,
            max_enqueued_batches=options.max_enqueued_batches,
            # With splitting, the last of the allowed sizes is the largest batch, and this the largest request. As every
            # size is allowed, no row is computed for nothing.
            max_batch_size=options.max_batch_size * options.max_enqueued_batches,
            allowed_batch_sizes=list(range(1, options.max_batch_size + 1)),
            enable_large_batch_splitting=True,
            shared_name=self._queue,
        )
        fields = tf.nest.pack_sequence_as(self._compute.structured_outputs, outputs)
        frames = self._model.frame_lengths(tf.shape(values)[1])
        for name, framed in self._framed.items():
            width = framed.shape[-1]
            rows = _from_strings(fields[name], framed.dtype, (width,))
            fields[name] = rows.to_tensor(shape=tf.stack([-1, frames, width]))
            fields[name].set_shape((None, None, width))
        return self._output_class(fields)

    def _of_rows(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        waveforms = _from_strings(rows, tf.float32)
        values, lengths = waveforms.to_tensor(), tf.cast(waveforms.row_lengths(), tf.int32)
        mask = tf.sequence_mask(lengths, tf.shape(values)[1], tf.int32)
        output = self._model(values, attention_mask=mask, training=False, return_dict=True)
        self._output_class = type(output)
        fields = {name: output[name] for name in _READ if name in output}
        self._framed = {name: value for name, value in fields.items() if name not in output.per_row}
        strings = {name: _to_strings(value, output["frame_lengths"]) for name, value in self._framed.items()}
        return {**fields, **strings}


def _to_strings(values: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """The rows of (batch, time, ...), each up to its length, as strings (batch,)."""
    return tf.map_fn(
        lambda row: tf.io.serialize_tensor(row[0][: row[1]]), (values, lengths), fn_output_signature=tf.string
    )


def _from_strings(strings: tf.Tensor, dtype: tf.DType, inner: tuple[int, ...] = ()) -> tf.RaggedTensor:
    """Strings (batch,) of rows (time, *inner) as a ragged tensor (batch, time, *inner)."""
    return tf.map_fn(
        lambda string: tf.ensure_shape(tf.io.parse_tensor(string, dtype), (None, *inner)),
        strings,
        fn_output_signature=tf.RaggedTensorSpec((None, *inner), dtype, ragged_rank=0),
    )
