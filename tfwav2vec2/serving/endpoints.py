"""The functions that an exported model offers: everything from samples to the answer, in a TensorFlow graph.

Each takes ``waveform`` (batch, samples) float32, at the model's rate and as loud as it was recorded, and ``lengths``
(batch,) int32, how many samples of each row are audio. Whatever stands behind them is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfwav2vec2.audio.feature_extractor import VARIANCE_FLOOR
from tfwav2vec2.serving.batching_options import BatchingOptions
from tfwav2vec2.serving.graph_text import GraphText
from tfwav2vec2.serving.graph_wav import read_wavs
from tfwav2vec2.serving.in_graph_batching import BatchedModel
from tfwav2vec2.serving.shortest import fewest_samples

SAMPLES = (
    tf.TensorSpec((None, None), tf.float32, name="waveform"),
    tf.TensorSpec((None,), tf.int32, name="lengths"),
)
FILES = (tf.TensorSpec((None,), tf.string, name="wav"),)


@dataclass(frozen=True)
class Endpoint:
    """A function with a name, and what it takes."""

    function: Callable[..., dict[str, Any]]
    signature: tuple[tf.TensorSpec, ...] = SAMPLES


class Prepared:
    """A model behind its feature extractor, as a function of samples and lengths.

    Args:
        model: any model of the family.
        extractor: the :class:`~tfwav2vec2.Wav2Vec2FeatureExtractor` that belongs to it.
        batching: how concurrent calls with lengths are put together inside the graph; by default they are not.
    """

    def __init__(self, model: Any, extractor: Any, batching: BatchingOptions | None = None) -> None:
        self.model = model
        self.rate = extractor.sampling_rate
        self._normalises = extractor.do_normalize
        self._shortest = fewest_samples(model)
        self._batched = None if batching is None else BatchedModel(model, batching)

    def __call__(self, waveform: Any, lengths: Any = None) -> Any:
        """The model's output for (batch, samples) and (batch,); without lengths all samples are audio, and none is masked.

        Raises:
            tf.errors.InvalidArgumentError: when the graph runs, for a length that is too short for an answer, or beyond
                the samples.
        """
        if lengths is None:
            if self._normalises:
                waveform = _normalised(waveform)
            return self.model(waveform, training=False, return_dict=True)
        lengths = self._checked(waveform, lengths)
        samples = tf.shape(waveform)[1]
        mask = tf.sequence_mask(lengths, samples)
        values = tf.where(mask, waveform, 0.0)
        if self._normalises:
            values = _normalised(values, mask, lengths)
        if self._batched is not None:
            return self._batched(values, lengths)
        return self.model(values, attention_mask=tf.cast(mask, tf.int32), training=False, return_dict=True)

    def _checked(self, waveform: Any, lengths: Any) -> Any:
        samples = tf.shape(waveform)[1]
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(lengths >= self._shortest),
                ["lengths must be at least", self._shortest, "samples; got", lengths],
                summarize=16,
            ),
            tf.debugging.Assert(
                tf.reduce_all(lengths <= samples),
                ["lengths must not exceed the samples of waveform,", samples, "; got", lengths],
                summarize=16,
            ),
        ]
        with tf.control_dependencies(checks):
            return tf.identity(lengths)


def _normalised(values: Any, mask: Any = None, lengths: Any = None) -> Any:
    """Each row's own samples at mean 0 and variance 1, zeros behind them; all samples where no mask is given."""
    count = tf.cast(tf.shape(values)[1] if lengths is None else tf.expand_dims(lengths, 1), tf.float32)
    mean = tf.reduce_sum(values, axis=1, keepdims=True) / count
    centred = values - mean
    if mask is not None:
        centred = tf.where(mask, centred, 0.0)
    variance = tf.reduce_sum(tf.square(centred), axis=1, keepdims=True) / count
    return centred / tf.sqrt(variance + VARIANCE_FLOOR)


def endpoints(model: Any, processor: Any, *, batching: BatchingOptions | None = None) -> dict[str, Endpoint]:
    """What a model offers, by the signature's name; ``serving_default`` is always there.

    - speech recognition: ``serving_default`` (``logits``, ``frame_lengths``, ``ids``), ``transcribe`` (``text``,
      ``confidence``) and ``transcribe_wav`` (the same from ``wav``, the bytes of WAV files);
    - classification of clips: ``serving_default`` (``logits``), ``classify`` and ``classify_wav`` (``label``, ``score``,
      ``scores``);
    - classification of frames: ``serving_default`` (``logits``, ``frame_lengths``);
    - speaker verification: ``serving_default`` (``logits``, ``embeddings``), ``embed`` and ``embed_wav`` (``embedding``,
      of length 1);
    - other models: ``serving_default`` (``last_hidden_state``, ``frame_lengths``).

    Args:
        model: the model.
        processor: a :class:`~tfwav2vec2.Wav2Vec2Processor` for speech recognition, otherwise that or a feature extractor.
        batching: how concurrent calls are put together inside the graph; by default they are not.

    Raises:
        ValueError: where speech recognition has no tokenizer, or one of another size or language than the model, and where a model
            whose answers depend on padding is to be batched.
        TypeError: for a model that has no answer to give, such as the one for pretraining.
    """
    from tfwav2vec2.backbone.wav2vec2 import TFWav2Vec2Model
    from tfwav2vec2.heads.audio_frame_classification import TFWav2Vec2ForAudioFrameClassification
    from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC
    from tfwav2vec2.heads.sequence_classification import TFWav2Vec2ForSequenceClassification
    from tfwav2vec2.heads.xvector import TFWav2Vec2ForXVector

    prepared = Prepared(model, getattr(processor, "feature_extractor", processor), batching)
    if isinstance(model, TFWav2Vec2ForCTC):
        return _speech_recognition(prepared, getattr(processor, "tokenizer", None))
    if isinstance(model, TFWav2Vec2ForSequenceClassification):
        return _classification(prepared)
    if isinstance(model, TFWav2Vec2ForXVector):
        return _speaker(prepared)
    fields = {
        TFWav2Vec2ForAudioFrameClassification: ("logits", "frame_lengths"),
        TFWav2Vec2Model: ("last_hidden_state", "frame_lengths"),
    }
    for kind, names in fields.items():
        if isinstance(model, kind):
            return {"serving_default": Endpoint(_fields(prepared, names))}
    raise TypeError(
        f"{type(model).__name__} cannot be exported: it has no answer for a single recording; load its weights into a "
        "TFWav2Vec2Model or a model with another head"
    )


def _fields(prepared: Prepared, names: tuple[str, ...]) -> Callable[..., dict[str, Any]]:
    def fields(waveform: Any, lengths: Any = None) -> dict[str, Any]:
        output = prepared(waveform, lengths)
        return {name: _widened(output[name]) for name in names}

    return fields


def _widened(value: Any) -> Any:
    """Numbers of half precision as float32: what a signature gives does not depend on how the model computes."""
    return tf.cast(value, tf.float32) if value.dtype.is_floating else value


def _of_files(prepared: Prepared, function: Callable[..., dict[str, Any]]) -> Endpoint:
    """The same function, of the bytes of WAV files."""
    return Endpoint(lambda wav: function(*read_wavs(wav, prepared.rate)), FILES)


def _speech_recognition(prepared: Prepared, tokenizer: Any) -> dict[str, Endpoint]:
    if tokenizer is None:
        raise ValueError(
            "A model for speech recognition is exported with its Wav2Vec2Processor: without a vocabulary it has no text"
        )
    from tfwav2vec2.language.vocabulary import check_vocabulary

    check_vocabulary(tokenizer, prepared.model.config)
    languages = prepared.model.target_lang, tokenizer.target_lang
    if None not in languages and len(set(languages)) > 1:
        raise ValueError(
            "The model is in the language {!r} and the tokenizer in {!r}, so that the text would be wrong; switch both, with "
            "model.load_adapter and tokenizer.set_target_lang".format(*languages)
        )
    writer = GraphText.of(tokenizer, prepared.model.config.vocab_size)

    def logits(waveform: Any, lengths: Any = None) -> dict[str, Any]:
        output = prepared(waveform, lengths)
        ids, _ = writer.best_path(output.logits, output.frame_lengths)
        return {"logits": _widened(output.logits), "frame_lengths": output.frame_lengths, "ids": ids}

    def transcribe(waveform: Any, lengths: Any) -> dict[str, Any]:
        output = prepared(waveform, lengths)
        ids, valid = writer.best_path(output.logits, output.frame_lengths)
        return {"text": writer.text(ids), "confidence": writer.confidence(output.logits, ids, valid)}

    return {
        "serving_default": Endpoint(logits),
        "transcribe": Endpoint(transcribe),
        "transcribe_wav": _of_files(prepared, transcribe),
    }


def _classification(prepared: Prepared) -> dict[str, Endpoint]:
    config = prepared.model.config
    names = [str(config.id2label.get(index, f"LABEL_{index}")) for index in range(config.num_labels)]

    def classify(waveform: Any, lengths: Any) -> dict[str, Any]:
        scores = tf.nn.softmax(tf.cast(prepared(waveform, lengths).logits, tf.float32))
        best = tf.argmax(scores, axis=-1)
        return {
            "label": tf.gather(tf.constant(names), best),
            "score": tf.reduce_max(scores, axis=-1),
            "scores": scores,
        }

    return {
        "serving_default": Endpoint(_fields(prepared, ("logits",))),
        "classify": Endpoint(classify),
        "classify_wav": _of_files(prepared, classify),
    }


def _speaker(prepared: Prepared) -> dict[str, Endpoint]:
    def embed(waveform: Any, lengths: Any) -> dict[str, Any]:
        embeddings = tf.cast(prepared(waveform, lengths).embeddings, tf.float32)
        return {"embedding": tf.math.l2_normalize(embeddings, axis=-1)}

    return {
        "serving_default": Endpoint(_fields(prepared, ("logits", "embeddings"))),
        "embed": Endpoint(embed),
        "embed_wav": _of_files(prepared, embed),
    }
