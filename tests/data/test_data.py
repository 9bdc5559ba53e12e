from __future__ import annotations

import logging
import math
from collections import Counter

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.speech_data import (
    EXTRACTOR,
    RATE,
    assert_same,
    classify,
    clip,
    config,
    examples,
    processor,
)
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.data.augmentation import AdditiveNoise, Chain, SpeedPerturbation
from tfwav2vec2.data.examples import Example, from_arrays
from tfwav2vec2.data.speech_data import SpeechData
from tfwav2vec2.data.targets import output_frames
from tfwav2vec2.heads.tdnn import fewest_frames

NOISY = Chain([SpeedPerturbation((0.9, 1.1)), AdditiveNoise()])


def batches_of(data: SpeechData, epoch: int) -> list[dict[str, np.ndarray]]:
    return [data.batch(epoch, step) for step in range(data.steps_per_epoch)]


def ids_of(data: SpeechData, epoch: int) -> list[str]:
    return [name for step in range(data.steps_per_epoch) for name in data.batch_ids(epoch, step)]


# A batch is a function of the seed, the epoch and the step


@settings(max_examples=20)
@given(
    requests=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2)), min_size=1, max_size=6),
    seed=st.integers(0, 2**40),
)
def test_a_batch_is_the_same_whenever_and_wherever_it_is_asked_for(requests, seed):
    data, other = (classify(augment=NOISY, seed=seed) for _ in range(2))
    expected = {request: data.batch(*request) for request in requests}
    for request in reversed(requests):
        assert_same(other.batch(*request), expected[request])
        assert other.batch_ids(*request) == data.batch_ids(*request)


def test_a_clip_is_augmented_alike_whatever_else_there_is():
    """What is left out, or comes in another batch, does not change the numbers that a clip is augmented with."""
    whole = classify(11, augment=AdditiveNoise(), batch_size=1, shuffle=False, buckets=1)
    first = SpeechData(
        examples(11)[:5], "classify", EXTRACTOR, config(), augment=AdditiveNoise(), batch_size=1, shuffle=False,
        buckets=Buckets(lengths=(whole.plan(0)[0].samples,)),
    )  # fmt: skip
    for step in range(5):
        (name,) = first.batch_ids(3, step)
        place = ids_of(whole, 3).index(name)
        assert_same(first.batch(3, step), whole.batch(3, place))


def test_epochs_and_seeds_differ_in_order_and_augmentation():
    data = classify(20, augment=AdditiveNoise(), batch_size=1)
    assert Counter(ids_of(data, 0)) == Counter(ids_of(data, 1))
    assert ids_of(data, 0) != ids_of(data, 1)
    assert ids_of(data, 0) != ids_of(classify(20, batch_size=1, seed=1), 0)
    same_clip = [data.batch(epoch, ids_of(data, epoch).index("7"))["input_values"] for epoch in (0, 1)]
    assert np.abs(same_clip[0] - same_clip[1]).max() > 0.01


def test_without_shuffling_all_epochs_are_the_same():
    data = classify(shuffle=False)
    for first, second in zip(batches_of(data, 0), batches_of(data, 7), strict=True):
        assert_same(first, second)


def test_a_step_that_is_not_there():
    data = classify(8)
    for step in (-1, data.steps_per_epoch):
        with pytest.raises(IndexError, match=f"no step {step} in an epoch of {data.steps_per_epoch} steps"):
            data.batch(0, step)


# What a batch holds


def test_a_batch_holds_what_the_extractor_makes_of_each_clip():
    data = classify(11)
    by_id = {example.id: example for example in examples(11)}
    for step in range(data.steps_per_epoch):
        batch = data.batch(0, step)
        assert {name: value.dtype for name, value in batch.items()} == {
            "input_values": np.float32,
            "attention_mask": np.int32,
            "labels": np.int32,
        }
        for row, name in enumerate(data.batch_ids(0, step)):
            samples = by_id[name].audio
            alone = EXTRACTOR(samples, sampling_rate=RATE, return_tensors="np")["input_values"][0]
            valid = batch["attention_mask"][row].sum()
            assert valid == len(samples)
            np.testing.assert_array_equal(batch["attention_mask"][row, :valid], 1)
            np.testing.assert_allclose(batch["input_values"][row, :valid], alone, atol=1e-6)
            np.testing.assert_array_equal(batch["input_values"][row, valid:], 0.0)
            assert batch["labels"][row] == {"no": 0, "yes": 1}[by_id[name].target]


def test_labels_of_every_task(tmp_path):
    ends = processor(tmp_path)
    spoken = examples(6, ["AB", "CAB DAD"])
    ctc = SpeechData(spoken, "ctc", ends, config(), batch_size=6, shuffle=False)
    (order,) = [ctc.batch_ids(0, 0)]
    rows = dict(zip(order, ctc.batch(0, 0)["labels"], strict=True))
    assert [index for index in rows["0"] if index >= 0] == [3, 4]
    assert [index for index in rows["1"] if index >= 0] == [5, 3, 4, 2, 6, 3, 6]

    intervals = from_arrays([clip(4000)], [[(0.0, 0.1, "yes")]], RATE)
    frames = SpeechData(intervals, "frames", EXTRACTOR, config(), background="no").batch(0, 0)["labels"]
    samples = Buckets().samples_for(4000)
    assert frames.shape == (1, output_frames(config(), samples), 2)
    assert frames.dtype == np.float32

    speakers = from_arrays([clip(4000)] * 2, None, RATE, speakers=["yes", "no"])
    assert SpeechData(speakers, "speaker", EXTRACTOR, config(), shuffle=False).batch(0, 0)[
        "labels"
    ].tolist() == [1, 0]

    assert list(SpeechData(spoken, "pretrain", EXTRACTOR, config()).batch(0, 0)) == [
        "input_values",
        "attention_mask",
    ]


def test_intervals_follow_a_clip_that_is_played_slower():
    interval = from_arrays([clip(8000)], [[(0.1, 0.2, "yes")]], RATE)
    options = {"buckets": Buckets(lengths=(16_000,))}
    plain = SpeechData(interval, "frames", EXTRACTOR, config(), **options)
    slow = SpeechData(interval, "frames", EXTRACTOR, config(), augment=SpeedPerturbation((0.5,)), **options)
    first, last = np.flatnonzero(plain.batch(0, 0)["labels"][0, :, 1])[[0, -1]]
    slow_first, slow_last = np.flatnonzero(slow.batch(0, 0)["labels"][0, :, 1])[[0, -1]]
    assert slow.batch(0, 0)["attention_mask"].sum() == 16_000
    assert slow_first == pytest.approx(2 * first, abs=2)
    assert slow_last == pytest.approx(2 * last, abs=2)


def test_a_model_takes_every_batch_even_of_clips_shorter_than_a_hidden_span():
    """SpecAugment refuses an axis that is shorter than its span."""
    from tfwav2vec2 import TFWav2Vec2ForSequenceClassification

    span = config(mask_time_length=30)
    data = SpeechData(examples(3, shortest=100, longest=300), "classify", EXTRACTOR, span)
    assert output_frames(span, data.plan(0)[0].samples) >= 30
    model = TFWav2Vec2ForSequenceClassification(span)
    assert np.isfinite(float(model(data.batch(0, 0), training=True)["loss"]))


# Lengths


def test_crops_are_pieces_of_the_clip_drawn_anew_in_each_epoch():
    samples = np.arange(1000, 9000, dtype=np.float32)
    source = from_arrays([samples], None, RATE)
    plain = type(EXTRACTOR)(do_normalize=False)
    data = SpeechData(source, "pretrain", plain, config(), crop_seconds=0.1, buckets=Buckets(lengths=(1600,)))
    starts = []
    for epoch in range(5):
        values = data.batch(epoch, 0)["input_values"][0]
        np.testing.assert_array_equal(values, values[0] + np.arange(1600))
        starts.append(values[0])
    assert len(set(starts)) > 1
    assert all(1000 <= start <= 9000 - 1600 for start in starts)
    fixed = SpeechData(
        source, "pretrain", plain, config(), crop_seconds=0.1, shuffle=False, buckets=Buckets(lengths=(1600,))
    )
    assert [fixed.batch(epoch, 0)["input_values"][0, 0] for epoch in range(3)] == [
        1000 + (8000 - 1600) // 2
    ] * 3


def test_an_augmentation_that_makes_clips_longer_has_its_room():
    data = classify(6, augment=SpeedPerturbation((0.5,)), buckets=None)
    lengths = {example.id: len(example.audio) for example in examples(6)}
    for step in range(data.steps_per_epoch):
        valid = data.batch(0, step)["attention_mask"].sum(axis=1)
        assert valid.tolist() == [2 * lengths[name] for name in data.batch_ids(0, step)]


def test_an_augmentation_that_spoils_a_clip_is_left_out(tmp_path):
    longer = classify(1, augment=lambda samples, rng: np.tile(samples, 20))
    assert_same(longer.batch(0, 0), classify(1).batch(0, 0))
    text = from_arrays([clip(55 + 30 * 5)], ["AABB"], RATE)
    assert output_frames(config(), 55 + 30 * 5) == 6
    shorter = SpeechData(text, "ctc", processor(tmp_path), config(), augment=SpeedPerturbation((1.5,)))
    assert shorter.batch(0, 0)["attention_mask"].sum() == 55 + 30 * 5


@pytest.mark.parametrize(
    "made", [np.zeros(0), np.zeros((2, 9)), np.full(9, np.nan)], ids=["empty", "stereo", "not a number"]
)
def test_an_augmentation_that_makes_no_clip_is_an_error(made):
    with pytest.raises(ValueError, match="augment made of example 0"):
        classify(1, augment=lambda samples, rng: made).batch(0, 0)


def test_a_clip_that_is_longer_than_was_known_is_an_error(tmp_path):
    soundfile.write(tmp_path / "a.wav", clip(9000), RATE)
    (tmp_path / "m.tsv").write_text("path\tlabel\tseconds\na.wav\tyes\t0.1\n")
    data = SpeechData(tmp_path / "m.tsv", "classify", EXTRACTOR, config(), check="manifest")
    with pytest.raises(ValueError, match=r"Example a.wav holds 0.56 s, and 0.10 s were expected"):
        data.batch(0, 0)
    trusting_none = SpeechData(tmp_path / "m.tsv", "classify", EXTRACTOR, config())
    assert trusting_none.batch(0, 0)["attention_mask"].sum() == 9000


def test_batches_of_about_equal_sound():
    data = classify(40, batch_size=None, batch_seconds=1.0, buckets=None)
    for planned in data.plan(0):
        assert len(planned.members) * planned.samples <= RATE
    assert len({len(planned.members) for planned in data.plan(0)}) > 1


@pytest.mark.parametrize(("buckets", "lengths"), [(3, 3), (Buckets(lengths=(8000, 16_000)), 2)])
def test_the_lengths_of_batches(buckets, lengths):
    data = SpeechData(examples(40, longest=16_000), "classify", EXTRACTOR, config(), buckets=buckets)
    assert len({planned.samples for planned in data.plan(0)}) == lengths


# What is left out


def corpus(tmp_path) -> list[Example]:
    (tmp_path / "noise.wav").write_bytes(b"not audio at all")
    good = from_arrays([clip(3000)], ["AB"], RATE)
    return [
        *good,
        Example("gone", tmp_path / "gone.wav", "AB"),
        Example("noise", tmp_path / "noise.wav", "AB"),
        Example("empty", np.zeros(0, np.float32), "AB", sampling_rate=RATE),
        Example("long", clip(20_000), "AB", sampling_rate=RATE),
        Example("brief", clip(1500), "AB", sampling_rate=RATE),
        Example("frameless", clip(20), "AB", sampling_rate=RATE),
        Example("hurried", clip(1700), "AB" * 40, sampling_rate=RATE),
        Example("foreign", clip(3000), "ABÑ", sampling_rate=RATE),
        Example("mute", clip(3000), None, sampling_rate=RATE),
    ]


def test_nothing_disappears_silently(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        data = SpeechData(
            corpus(tmp_path), "ctc", processor(tmp_path), config(), min_seconds=0.1, max_seconds=1.0
        )
    report = data.report
    assert report.kept == 1
    assert report.dropped == {
        "unreadable or empty": 3,
        "too long": 1,
        "too short": 2,
        "impossible target": 1,
        "characters outside the vocabulary": 1,
        "no text": 1,
    }
    assert report.unknown_characters == {"Ñ": 1}
    assert report.seconds == 3000 / RATE
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in (
        "1 of 10 examples",
        "left out 3: unreadable or empty",
        "gone.wav",
        "hurried: its target needs 80 frames",
    ):
        assert part in record.message


def test_without_a_limit_a_clip_without_a_frame_is_too_short(tmp_path):
    data = SpeechData(corpus(tmp_path), "ctc", processor(tmp_path), config())
    assert [example.id for example in data.report.left_out if example.reason == "too short"] == ["frameless"]


def test_padding_and_shapes_are_reported(caplog):
    with caplog.at_level(logging.INFO):
        data = classify(11)
    batches = batches_of(data, 0)
    padded = sum(batch["attention_mask"].size for batch in batches)
    sound = sum(batch["attention_mask"].sum() for batch in batches)
    assert data.report.padding == pytest.approx(1 - sound / padded)
    assert Counter(shape[:2] for shape in data.report.shapes.elements()) == Counter(
        batch["input_values"].shape for batch in batches
    )
    assert caplog.records[0].levelno == logging.INFO
    assert f"{100 * data.report.padding:.1f} % of them padding" in str(data.report)


def test_a_model_of_another_rate_pads_to_the_same_durations():
    def durations(rate: int) -> list[float]:
        clips = [clip(round(seconds * rate)) for seconds in (0.2, 0.45, 0.9, 1.3, 2.0)]
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=rate)
        data = SpeechData(from_arrays(clips, None, rate), "pretrain", extractor, config(), batch_size=1)
        return sorted(samples / rate for _, samples, _ in data.report.shapes)

    assert durations(8000) == durations(RATE) == [0.25, 0.5, 0.9, 1.4, 2.2]


def test_clips_that_fill_no_batch_are_reported():
    data = classify(11, batch_size=4, drop_remainder=True)
    assert data.report.remainder == 3
    assert "3 do not fill a batch" in str(data.report)
    assert len(ids_of(data, 0)) == 8
    assert set(ids_of(data, 0)) != set(ids_of(data, 1)), "each epoch leaves out others"


def test_nothing_to_learn_from_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"(?s)No example can be learned from.*left out 2: unknown label.*'maybe'"
    ):
        SpeechData(examples(2, ["maybe"]), "classify", EXTRACTOR, config())
    with pytest.raises(ValueError, match="11 examples do not fill one batch of 12"):
        classify(11, batch_size=12, drop_remainder=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_seconds": 3.0}, "give one"),
        ({"batch_size": None, "batch_seconds": 0.0}, "above 0"),
        ({"batch_size": 0}, "1 or more"),
        ({"batch_size": 3, "divisible_by": 2}, "multiple of 2"),
        ({"divisible_by": 0}, "divisible_by is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"check": "ears"}, "check is 'ears'"),
        ({"buckets": 0}, "one length at least"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        classify(4, **options)


def test_crops_and_texts_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="crop_seconds cuts pieces"):
        SpeechData(examples(2, ["AB"]), "ctc", processor(tmp_path), config(), crop_seconds=1.0)
    with pytest.raises(TypeError, match="processor is a str"):
        SpeechData(examples(2), "classify", "facebook/wav2vec2-base", config())


def test_a_speaker_needs_the_frames_of_the_time_delays():
    delays = config(tdnn_dim=[8, 8], tdnn_kernel=[5, 3], tdnn_dilation=[1, 2])
    assert fewest_frames(delays) == 9
    clips = from_arrays([clip(55 + 30 * 8), clip(55 + 30 * 7)], ["yes", "no"], RATE)
    data = SpeechData(clips, "speaker", EXTRACTOR, delays)
    assert ids_of(data, 0) == ["0"]
    assert data.report.dropped == {"too short": 1}


# Several processes


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parts_are_the_whole(count):
    whole = classify(18, divisible_by=4, augment=NOISY)
    parts = [whole.shard(index, count) for index in range(count)]
    for epoch in range(2):
        for step in range(whole.steps_per_epoch):
            batches = [part.batch(epoch, step) for part in parts]
            assert len({batch["input_values"].shape for batch in batches}) == 1
            joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            assert_same(joined, whole.batch(epoch, step))
            assert whole.batch_ids(epoch, step) == [
                name for part in parts for name in part.batch_ids(epoch, step)
            ]


def test_parts_have_positions_of_their_own():
    whole = classify(8, divisible_by=2)
    first, second = whole.shard(0, 2), whole.shard(1, 2)
    first.seek(3, 1)
    assert (first.position, second.position, whole.position) == ((3, 1), (0, 0), (0, 0))


def test_parts_that_cannot_be_equal_are_refused():
    with pytest.raises(ValueError, match="divisible_by=6"):
        classify(12, batch_size=6, divisible_by=2).shard(0, 3)
    with pytest.raises(ValueError, match="no part 2 of 2"):
        classify(8, divisible_by=2).shard(2, 2)
    with pytest.raises(ValueError, match="already"):
        classify(8, divisible_by=2).shard(1, 2).shard(0, 1)


def test_the_usual_batch_fits_the_devices():
    data = classify(48, batch_size=None, divisible_by=3, buckets=1)
    assert len(data.plan(0)[0].members) == math.lcm(8, 3)


# Real speech


def test_real_recordings(shared_data, tmp_path):
    from tfwav2vec2.data.manifest import read_manifest

    words = [
        example for example in read_manifest(shared_data / "manifest.tsv") if example.id.startswith("yesno")
    ]
    transcripts = sorted({word for example in words for word in example.target.split()})
    letters = sorted(set("".join(transcripts)))
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<unk>", "|", *letters])}
    ends = processor(tmp_path, vocabulary)
    data = SpeechData(words, "ctc", ends, config(vocab_size=len(vocabulary)), batch_size=8, buckets=3)
    assert data.report.kept == 60
    assert data.report.left_out == []
    assert data.report.padding < 0.2
    batch = data.batch(0, 0)
    texts = [ends.tokenizer.decode(row[row >= 0], group_tokens=False) for row in batch["labels"]]
    by_id = {example.id: example.target for example in words}
    assert texts == [by_id[name] for name in data.batch_ids(0, 0)]


def test_the_backend_decides_what_fit_reads():
    kind = type(classify(4).dataset()).__mro__
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        assert tf.data.Dataset in kind
    else:
        assert keras.utils.PyDataset in kind
