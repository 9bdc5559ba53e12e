from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.speech_data import RATE, VOCABULARY, config, processor
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.frame_targets import FrameClasses
from tfwav2vec2.data.targets import (
    Classes,
    NoTargets,
    Transcripts,
    UnusableTargetError,
    class_names,
    output_frames,
)
from tfwav2vec2.data.tasks import targets_for


def example(target, speaker=None) -> Example:
    return Example("x", b"", target, speaker=speaker)


def brute_force_frames(ids) -> int:
    """A blank between equal neighbours, spelled out."""
    frames = []
    for index in ids:
        if frames and frames[-1] == index:
            frames.append("blank")
        frames.append(index)
    return max(len(frames), 1)


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory) -> Transcripts:
    return Transcripts(processor(tmp_path_factory.mktemp("vocabulary")).tokenizer, config())


@given(text=st.text("ABCD '", max_size=12))
def test_letters_become_ids_and_their_frames_are_counted(transcripts, text):
    ids = transcripts.encode(example(text))
    letters = " ".join(text.split())
    assert ids.dtype == np.int32
    assert ids.tolist() == [VOCABULARY["|" if letter == " " else letter] for letter in letters]
    assert transcripts.size(ids) == len(ids)
    assert transcripts.frames_needed(ids) == brute_force_frames(ids.tolist())


def test_texts_are_brought_to_the_vocabulary_and_counted(tmp_path):
    transcripts = Transcripts(processor(tmp_path).tokenizer, config())
    assert (
        transcripts.encode(example("Abba, cab!")).tolist() == transcripts.encode(example("ABBA CAB")).tolist()
    )
    assert transcripts.changed == 1
    for text in ("café 7", "77"):
        with pytest.raises(UnusableTargetError, match=r"the vocabulary lacks .*'7'") as caught:
            transcripts.encode(example(text))
        assert caught.value.reason == "characters outside the vocabulary"
    assert transcripts.unknown["7"] == 3
    assert transcripts.unknown["É"] + transcripts.unknown["é"] == 1


def test_another_normalisation(tmp_path):
    transcripts = Transcripts(processor(tmp_path).tokenizer, config(), lambda text: text[::-1])
    assert transcripts.encode(example("AB")).tolist() == [VOCABULARY["B"], VOCABULARY["A"]]
    with pytest.raises(UnusableTargetError, match="'a'"):
        transcripts.encode(example("a"))


@pytest.mark.parametrize(
    ("target", "message"), [(None, "None, not a text"), (3, "3, not a text"), ("?!", "nothing is left")]
)
def test_no_text(transcripts, target, message):
    with pytest.raises(UnusableTargetError, match=message) as caught:
        transcripts.encode(example(target))
    assert caught.value.reason == "no text"


def test_a_letter_that_the_head_has_no_output_for_is_outside_the_vocabulary(tmp_path):
    transcripts = Transcripts(processor(tmp_path).tokenizer, config(vocab_size=6))
    assert len(transcripts.encode(example("ABC"))) == 3
    with pytest.raises(UnusableTargetError, match="'D'"):
        transcripts.encode(example("ABCD"))


def test_labels_are_padded_with_what_the_loss_passes_over(transcripts):
    batch = transcripts.batch([np.array([3, 4], np.int32), np.array([], np.int32)], [9, 9], [1, 1], 9, 4)
    assert batch.tolist() == [[3, 4, -100, -100], [-100] * 4]


def test_classes_go_by_name_or_number():
    classes = Classes(config())
    assert [classes.encode(example(target)) for target in ("yes", "no", 1, np.int64(0))] == [1, 0, 1, 0]
    assert classes.batch([1, 0], [9, 9], [1, 1], 9, 8).tolist() == [1, 0]
    for target in ("perhaps", 2, -1, True, 1.0):
        with pytest.raises(UnusableTargetError, match="not among the 2") as caught:
            classes.encode(example(target))
        assert caught.value.reason == "unknown label"
    with pytest.raises(UnusableTargetError, match="no target"):
        classes.encode(example(None))


def test_a_speaker_is_a_class():
    fields = class_names([example(None, "b"), example(None, "a"), example("c", "z")], of_speaker=True)
    assert fields == {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    classes = Classes(config(**fields), of_speaker=True)
    assert [classes.encode(example(None, "b")), classes.encode(example("c", "b"))] == [1, 2]


def test_names_of_intervals():
    assert class_names([example([(0, 1, "b"), (1, 2, "a")]), example(None)])["label2id"] == {"a": 0, "b": 1}


intervals = st.lists(
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 1)).map(
        lambda item: (min(item[:2]), max(item[:2]), item[2])
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(intervals=intervals, length=st.integers(100, 8000), factor=st.sampled_from([1.0, 0.9, 1.25]))
def test_a_frame_has_the_classes_that_its_middle_lies_in(intervals, length, factor):
    tiny = config()
    targets = FrameClasses(tiny, RATE)
    target = targets.encode(example(intervals))
    labels = targets.batch([target], [length], [factor], 8000, 8)
    assert labels.shape == (1, output_frames(tiny, 8000), 2)
    # The tiny model's frames are 30 samples apart and (10 + 3 * 5 + 2 * 15) = 55 samples long.
    for frame, row in enumerate(labels[0]):
        middle = (30 * frame + 27.5) / RATE / factor
        inside = {index for start, end, index in intervals if start <= middle < end}
        if frame >= output_frames(tiny, length):
            inside = set()
        assert set(np.flatnonzero(row)) == inside


def test_frames_in_no_interval_may_be_a_class_of_their_own():
    targets = FrameClasses(config(), RATE, background="no")
    labels = targets.batch([targets.encode(example([(0.0, 0.1, "yes")]))], [3200], [1.0], 4000, 8)[0]
    valid = output_frames(config(), 3200)
    np.testing.assert_array_equal(labels[:valid].sum(axis=-1), 1.0)
    assert labels[:50, 1].all()
    assert labels[60:valid, 0].all()
    assert not labels[valid:].any()


def test_frames_may_be_given_one_by_one():
    targets = FrameClasses(config(), RATE)
    frames = output_frames(config(), 4000)
    classes = np.arange(frames) % 2
    one_hot = np.eye(2, dtype=np.float32)[classes]
    for target in (classes, one_hot):
        labels = targets.batch([targets.encode(example(target))], [4000], [1.0], 4000, 8)
        np.testing.assert_array_equal(labels[0], one_hot)
    stretched = targets.batch([one_hot], [8000], [2.0], 8000, 8)[0]
    np.testing.assert_array_equal(stretched[: 2 * frames], np.repeat(one_hot, 2, axis=0))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "no target"),
        ([(0, 1)], "not .start, end, class."),
        ([("a", "b", "yes")], "not .start, end, class."),
        ([(0, 1, "perhaps")], "'perhaps'"),
        (np.array([0, 2]), "from 0 to 1"),
        (np.zeros((4, 3)), r"must be \(frames, 2\)"),
    ],
)
def test_frames_that_cannot_be_learned(target, message):
    with pytest.raises(UnusableTargetError, match=message):
        FrameClasses(config(), RATE).encode(example(target))


def test_pretraining_needs_the_frames_of_a_hidden_span_and_has_no_labels():
    targets = NoTargets(config(mask_time_length=5))
    assert targets.encode(example("whatever")) is None
    assert targets.frames_needed(None) == 5
    assert targets.batch([None], [9], [1.0], 9, 8) is None


def test_arguments_without_a_meaning_are_refused(tmp_path):
    ends = processor(tmp_path)
    with pytest.raises(ValueError, match="task is 'asr'; it must be one of 'ctc'"):
        targets_for("asr", ends, config(), RATE, None, None)
    with pytest.raises(ValueError, match="background has a meaning for the task 'frames' alone"):
        targets_for("ctc", ends, config(), RATE, None, "no")
    with pytest.raises(ValueError, match="normalize_text has a meaning"):
        targets_for("pretrain", ends, config(), RATE, str.upper, None)
    with pytest.raises(TypeError, match="Texts need a tokenizer"):
        targets_for("ctc", ends.feature_extractor, config(), RATE, None, None)
