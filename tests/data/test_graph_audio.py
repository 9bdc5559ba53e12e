"""Decoding by TensorFlow's own operations: in an environment with tensorflow-io, and what is said in any other."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
import soundfile

if keras.backend.backend() != "tensorflow":
    pytest.skip("needs the TensorFlow backend", allow_module_level=True)

import tensorflow as tf

from tests.audio.test_graph_resampling import speechlike
from tests.data.speech_data import EXTRACTOR, RATE, classify, config, processor
from tests.data.test_data_iteration import make_model
from tfwav2vec2.data import graph_audio
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest
from tfwav2vec2.data.speech_data import SpeechData

WORKS = tf.__version__.startswith(graph_audio.SUPPORTED)
needs_tensorflow_io = pytest.mark.skipif(
    not WORKS or importlib.util.find_spec("tensorflow_io") is None,
    reason="needs tensorflow-io, which works with TensorFlow 2.16 and 2.17",
)


@pytest.mark.skipif(WORKS, reason="says what to do under a TensorFlow for which there is no tensorflow-io")
def test_another_tensorflow_is_refused_clearly(tmp_path):
    soundfile.write(tmp_path / "a.wav", speechlike(RATE), RATE)
    data = SpeechData(tmp_path, "pretrain", EXTRACTOR, config())
    with pytest.raises(ImportError, match=rf"2.16 and 2.17, and this is {tf.__version__}; use dataset\(\)"):
        data.as_graph_dataset()


def test_what_the_graph_cannot_do_is_refused():
    with pytest.raises(ValueError, match="arrays or parts"):
        classify(4).as_graph_dataset()
    with pytest.raises(ValueError, match="Augmentation and crops are Python"):
        classify(4, augment=lambda samples, rng: samples).as_graph_dataset()


@needs_tensorflow_io
def test_the_graph_makes_the_same_batches(tmp_path):
    names = {"a.wav": RATE, "b.flac": RATE, "c.wav": 8000, "d.flac": 22_050, "e.mp3": 44_100, "f.wav": RATE}
    examples = []
    for index, (name, rate) in enumerate(names.items()):
        samples = speechlike(rate, 0.5 + 0.1 * index)
        stereo = np.stack([samples, samples / 2], axis=1)
        soundfile.write(tmp_path / name, stereo if index % 2 else samples, rate)
        examples.append(Example(name, tmp_path / name, "AB" * (1 + index)))
    data = SpeechData(examples, "ctc", processor(tmp_path), config(), batch_size=4)
    for epoch in (0, 1):
        dataset = data.as_graph_dataset(epoch)
        assert int(dataset.cardinality()) == data.steps_per_epoch
        for step, made in enumerate(dataset):
            expected = data.batch(epoch, step)
            np.testing.assert_array_equal(made["labels"], expected["labels"])
            differences = np.abs(made["attention_mask"].numpy() - expected["attention_mask"]).sum(axis=1)
            assert (differences <= 1).all()
            for row, name in enumerate(data.batch_ids(epoch, step)):
                ours, theirs = made["input_values"][row].numpy(), expected["input_values"][row]
                inner = slice(400, int(expected["attention_mask"][row].sum()) - 400)
                # In units of the clip's own deviation; where nothing is resampled only the sums differ.
                np.testing.assert_allclose(
                    ours[inner], theirs[inner], atol=1e-4 if names[name] == RATE else 1e-2, err_msg=name
                )


@needs_tensorflow_io
def test_fit_reads_it(tmp_path):
    examples = []
    for index in range(4):
        soundfile.write(tmp_path / f"{index}.flac", speechlike(RATE, 0.3 + 0.1 * index), RATE)
        examples.append(Example(str(index), tmp_path / f"{index}.flac", ("no", "yes")[index % 2]))
    data = SpeechData(examples, "classify", EXTRACTOR, config(), batch_size=2)
    fitted, stepped = make_model(), make_model()
    fitted.fit(data.as_graph_dataset(), verbose=0)
    for step in range(data.steps_per_epoch):
        stepped.train_on_batch(data.batch(0, step))
    for ours, theirs in zip(fitted.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@needs_tensorflow_io
def test_a_pipeline_without_python_can_be_sent_elsewhere(tmp_path):
    """tf.data's distributed save holds the graph alone: a Python function would not survive it."""
    soundfile.write(tmp_path / "a.wav", speechlike(RATE), RATE)
    dataset = SpeechData(tmp_path, "pretrain", EXTRACTOR, config()).as_graph_dataset()
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy()
    assert b"PyFunc" not in graph


@needs_tensorflow_io
def test_other_kinds_of_files_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", speechlike(RATE), RATE, subtype="PCM_24")
    with pytest.raises(ValueError, match=r"a.wav is WAV PCM_24; the graph decodes wav and flac of 16 bits"):
        SpeechData(tmp_path, "pretrain", EXTRACTOR, config()).as_graph_dataset()


@needs_tensorflow_io
def test_real_recordings(shared_data):
    spoken = [example for example in read_manifest(shared_data / "manifest.tsv") if "fsdd" in example.id][:8]
    data = SpeechData(spoken, "pretrain", EXTRACTOR, config(), batch_size=4)
    for step, made in enumerate(data.as_graph_dataset()):
        expected = data.batch(0, step)
        difference = (made["input_values"].numpy() - expected["input_values"]) * expected["attention_mask"]
        assert np.sqrt(np.mean(difference**2)) < 0.05
