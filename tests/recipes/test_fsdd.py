from __future__ import annotations

from dataclasses import replace

import click
import keras
import numpy as np
import pytest

import tfwav2vec2
from recipes.fsdd.clips import read_split, recording_of
from recipes.fsdd.difference import Difference, standard_error
from recipes.fsdd.record import Record
from recipes.fsdd.scores import Scores
from recipes.fsdd.settings import SAMPLING_RATE, SETTINGS, make_config, make_extractor
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import from_arrays
from tfwav2vec2.data.targets import class_names

NOTHING_RANDOM = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "mask_time_prob",
     "mask_feature_prob"), 0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tones() -> list[Example]:
    """Three classes, which are pitches, in clips of 0.3 to 0.44 s."""
    clips = [
        np.sin(2 * np.pi * (300 + 200 * (index % 3)) * np.arange(2400 + 100 * index) / SAMPLING_RATE)
        for index in range(12)
    ]
    return from_arrays(clips, [f"tone {index % 3}" for index in range(12)], SAMPLING_RATE)


@pytest.mark.parametrize("task", SETTINGS)
def test_no_clip_is_in_two_parts_and_what_is_asked_was_not_heard(task, shared_data):
    split = read_split(shared_data, task)
    parts = (split.training, split.validation, split.test)
    names = [example.id for part in parts for example in part]
    assert len(names) == len(set(names))
    heard, tuned, asked = (
        {getattr(recording_of(example), "speaker" if task == "digits" else "digit") for example in part}
        for part in parts
    )
    assert not heard & tuned
    assert not asked & (heard | tuned)
    # And all that is asked for has been learned.
    assert all({example.target for example in part} == {e.target for e in split.training} for part in parts)


def test_a_clip_of_another_set_is_refused():
    with pytest.raises(ValueError, match="7_jackson_32"):
        recording_of(Example("yesno/0_0_1.wav", b""))


def test_scores_of_known_answers():
    labels = np.array([0, 0, 1, 1])
    classes = np.eye(2)[[0, 0, 1, 0]]
    assert Scores.of(classes, labels) == Scores(0.75)
    apart = Scores.of(classes, labels, np.array([[2.0, 0.1], [3.0, 0.0], [0.0, 1.0], [0.1, 5.0]]))
    assert apart.equal_error_rate == 0.0
    # Every pair of one speaker is farther apart than every pair of two.
    crossed = Scores.of(classes, labels, np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    assert crossed.equal_error_rate == 1.0


def test_the_standard_error_is_that_of_the_mean():
    assert standard_error([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(np.sqrt(2.5 / 5))


@pytest.mark.parametrize(("shift", "sign", "holds"), [(-0.5, 1, True), (-1.5, 1, False), (1.5, 1, True),
                                                      (0.5, -1, True), (1.5, -1, False), (-1.5, -1, True)])  # fmt: skip
def test_worse_is_by_more_than_one_standard_error_of_the_difference(shift, sign, holds):
    theirs = [1.0, 2.0, 3.0, 4.0, 5.0]
    # The error of each mean is sqrt(1/2), so that of their difference is 1.
    compared = Difference.of([value + shift for value in theirs], theirs, sign)
    assert compared.standard_error == pytest.approx(1.0)
    assert compared.difference == pytest.approx(shift)
    assert compared.holds is holds


def test_a_run_on_record_is_not_done_again(tmp_path):
    done = []

    def measure(accuracy):
        done.append(accuracy)
        return {"accuracy": accuracy}

    path, conditions = tmp_path / "runs.json", {"task": "digits"}
    Record(path, conditions).run({"seed": 0}, lambda: measure(0.5))
    again = Record(path, conditions)
    assert again.run({"seed": 0}, lambda: measure(0.6))["accuracy"] == 0.5
    assert again.run({"seed": 1}, lambda: measure(0.7))["accuracy"] == 0.7
    assert done == [0.5, 0.7]
    with pytest.raises(click.UsageError, match="another task"):
        Record(path, {"task": "speakers"})


@pytest.mark.parametrize("task", SETTINGS)
def test_both_sides_take_the_same_steps(task, tones, tmp_path):
    """From the same weights and without dropout, the two trainings have the same losses.

    Keras adds epsilon before the correction of the moments and torch after it; that is what the tolerance is for.
    """
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

    from recipes.fsdd import torch_peer
    from tfwav2vec2.training.fine_tuning import make_optimizer

    reference = torch_peer.HEADS[SETTINGS[task].head]
    setting = replace(SETTINGS[task], epochs=2, passes=2, batch_size=6)
    config = make_config()
    # The reference pools padding too; so does ours with this field.
    config.update({**class_names(tones), **NOTHING_RANDOM, "feature_norm_mask": False})
    options = setting.options(1e-4, seed=0)
    keras.utils.set_random_seed(0)
    model = getattr(tfwav2vec2, f"TF{reference.__name__}")(config)
    model.save_pretrained(tmp_path)
    peer = reference.from_pretrained(tmp_path)

    def data():
        return setting.training_data(tones, make_extractor(), config, seed=0)

    def step(batch):
        model.reset_metrics()
        return model.train_on_batch(batch, return_dict=True)["loss"]

    ours = data()
    optimizer = make_optimizer(model, setting.head, ours.steps_per_epoch, options)
    model.compile(optimizer, metrics=None, run_eagerly=True)
    losses = [step(batch) for _ in range(options.epochs) for batch in ours]
    theirs = list(torch_peer.fit(peer, data(), options))
    assert len(theirs) == len(losses) == options.epochs * ours.steps_per_epoch
    np.testing.assert_allclose(losses, theirs, rtol=5e-5)
    assert losses[-1] < losses[0]
