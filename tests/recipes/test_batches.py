from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recipes.spoken_digits import batches
from recipes.spoken_digits.architecture import (
    HUSHED_FOR_DIGITS,
    encode,
    make_config,
    make_processor,
    vocabulary,
)
from recipes.spoken_digits.augmentation import Surroundings
from recipes.spoken_digits.batches import TrainingStrings, collate, longest_string, strength
from recipes.spoken_digits.corpus import (
    TEST_INDICES,
    VALIDATION_INDICES,
    WORDS,
    Clip,
    read_recordings,
    spoken,
    written,
)
from recipes.spoken_digits.strings import DigitString
from recipes.spoken_digits.train import make_model
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC


@pytest.fixture(scope="module")
def training(tones, surroundings) -> TrainingStrings:
    return TrainingStrings(tones, tones[:30], surroundings, total_steps=100, seed=7)


def test_labels_are_the_tokenizers():
    processor = make_processor()
    assert processor.tokenizer.get_vocab() == vocabulary()
    for words in ((), ("SEVEN",), WORDS):
        text = written(words)
        assert encode(words) == list(processor.tokenizer(text).input_ids)
        assert spoken(text) == words
    assert processor.feature_extractor.do_normalize is True
    assert make_config().vocab_size == len(vocabulary())


def test_what_is_faint_stays_faint_behind_a_hushed_first_convolution():
    speech, hiss = (np.random.default_rng(seed).standard_normal((1, 8000), np.float32) for seed in (0, 1))
    faint = np.concatenate([speech, 10 ** (-30 / 20) * hiss], axis=1)

    def level_of_hiss(model):
        frames = model.wav2vec2.feature_extractor.conv_layers[0](faint[..., None]).numpy()
        half = frames.shape[1] // 2
        return np.std(frames[:, half + 10 :]) / np.std(frames[:, : half - 10])

    drawn = TFWav2Vec2ForCTC(make_config())
    assert level_of_hiss(drawn) > 0.9
    assert level_of_hiss(make_model(None, "phonemes")) < 0.3
    assert 0.3 < level_of_hiss(make_model(None, "digits")) < 0.7


def test_what_writes_digits_keeps_its_first_convolution(tmp_path):
    letters = make_model(None, "phonemes")
    letters.save_pretrained(tmp_path)
    first = letters.wav2vec2.feature_extractor.conv_layers[0].conv
    assert any(each is first.kernel for each in letters.trainable_variables)
    digits = make_model(tmp_path, "digits")
    kernel = digits.wav2vec2.feature_extractor.conv_layers[0].conv.kernel
    assert not any(each is kernel for each in digits.trainable_variables)
    assert len(digits.trainable_variables) == len(letters.trainable_variables) - 1
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(kernel))), HUSHED_FOR_DIGITS, rtol=1e-5)
    np.testing.assert_allclose(
        kernel / np.max(np.abs(kernel)), first.kernel / np.max(np.abs(first.kernel)), atol=1e-5
    )


def test_a_model_of_digits_begins_with_the_head_that_wrote_them_among_phonemes(tmp_path):
    both = make_model(None, "both")
    both.save_pretrained(tmp_path)
    digits = make_model(tmp_path, "digits")
    sound = np.random.default_rng(0).standard_normal((1, 8000), np.float32)
    written, all_written = (model.predict_on_batch(sound)["logits"] for model in (digits, both))
    assert written.shape[-1] == len(vocabulary("digits")) < all_written.shape[-1]
    np.testing.assert_allclose(written, all_written[..., : written.shape[-1]], atol=1e-5)


def test_what_was_said_comes_back_from_its_labels():
    said = ("THREE", "EIGHT", "EIGHT")
    frames = [index for label in encode(said) for index in (label, label, 0)]
    text = make_processor().tokenizer.decode(frames)
    assert text == "388"
    assert spoken(text) == said


def test_words_are_said_by_whom_there_is(tones, surroundings):
    def speakers(*clips: list[Clip]) -> set[str]:
        recordings, espeak, lent = clips
        supply = TrainingStrings(recordings, espeak, surroundings, 40, lent, curriculum=False)
        names = {name for step in range(12) for string in supply.draw(step) for name in string.sources}
        return {name.split("_")[1] for name in names}

    ann, bob = ([clip for clip in tones if clip.speaker == name] for name in ("ann", "bob"))
    eve = [replace(clip, speaker="eve", name=clip.name.replace("ann", "eve")) for clip in ann]
    assert speakers(ann, bob, eve) == {"ann", "bob", "eve"}
    assert speakers([], bob, eve) == {"bob", "eve"}
    assert speakers(ann, [], []) == {"ann"}


def test_a_batch_holds_the_strings_and_masks_the_rest():
    strings = [
        DigitString(np.linspace(0.01, 0.5, 9000, dtype=np.float32), ("ONE", "TWO"), ()),
        DigitString(np.linspace(0.3, 0.1, 5000, dtype=np.float32), (), ()),
    ]
    batch = collate(strings)
    assert batch["input_values"].shape == batch["attention_mask"].shape == (2, 16000)
    assert batch["attention_mask"].sum(axis=1).tolist() == [9000, 5000]
    np.testing.assert_array_equal(batch["input_values"] != 0, batch["attention_mask"] == 1)
    read = make_processor()(
        [string.samples for string in strings], sampling_rate=SAMPLE_RATE, padding=True, return_tensors="np"
    )
    longest = read["input_values"].shape[1]
    np.testing.assert_allclose(batch["input_values"][:, :longest], read["input_values"], atol=1e-6)
    assert batch["labels"].tolist() == [encode(("ONE", "TWO")), [-100] * 2]


def test_batches_are_reproducible_and_differ_from_step_to_step(training):
    first, again, other = (collate(training.draw(step)) for step in (3, 3, 4))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (
        first["input_values"].shape != other["input_values"].shape
        or (first["input_values"] != other["input_values"]).any()
    )
    resumed = next(training.batches(first_step=3))
    np.testing.assert_array_equal(resumed["labels"], first["labels"])


def test_short_strings_come_first(training):
    assert longest_string(0.0) == 1
    assert longest_string(1.0) == 8
    strengths = [strength(progress) for progress in np.linspace(0, 1, 50)]
    assert strengths[0] == 0.0
    assert strengths[-1] == 1.0
    assert strengths == sorted(strengths)
    early = [len(string.words) for step in range(4) for string in training.draw(step)]
    late = [len(string.words) for step in range(60, 80) for string in training.draw(step)]
    assert max(early) <= 3
    assert max(late) == 8


def test_batches_are_of_few_shapes_and_bounded_size(training):
    for step in range(0, 100, 9):
        rows, samples = collate(training.draw(step))["input_values"].shape
        assert samples % batches.LENGTH_STEP == 0
        assert 1 <= rows <= batches.MOST_ROWS
        assert rows * (samples - batches.LENGTH_STEP) <= batches.BATCH_SECONDS * SAMPLE_RATE


def test_no_held_out_clip_is_ever_drawn(shared_data):
    splits = read_recordings(shared_data, "lucas")
    surroundings = Surroundings.make(splits["train"], np.random.default_rng(0))
    supply = TrainingStrings(splits["train"], splits["train"][:20], surroundings, total_steps=40)
    drawn = {name for step in range(40) for string in supply.draw(step) for name in string.sources}
    assert len(drawn) > 300
    for name in drawn:
        _, speaker, index = name.removesuffix(".wav").split("_")
        assert speaker != "lucas"
        assert int(index) not in TEST_INDICES
        assert int(index) not in VALIDATION_INDICES


def test_the_dataset_gives_the_batches(training):
    pytest.importorskip("tensorflow")
    made = next(iter(training.dataset(first_step=2)))
    expected = next(training.batches(first_step=2))
    assert set(made) == set(expected)
    for name, value in made.items():
        np.testing.assert_array_equal(value.numpy(), expected[name])


def test_digits_come_louder_and_softer_and_phonemes_do_not(training):
    batch, even = next(training.batches(2)), collate(training.draw(2))
    factors = np.abs(batch["input_values"]).max(axis=1) / np.abs(even["input_values"]).max(axis=1)
    np.testing.assert_allclose(batch["input_values"], even["input_values"] * factors[:, None], rtol=1e-4)
    decibels = 20 * np.log10(factors)
    assert np.ptp(decibels) > 1.0
    assert np.abs(decibels).max() <= batches.LEVEL_DB
    letters = replace(training, labels="phonemes")
    np.testing.assert_array_equal(
        next(letters.batches(2))["input_values"], collate(letters.draw(2), "phonemes")["input_values"]
    )
