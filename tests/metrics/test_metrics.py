"""The metrics one by one, against their definitions on the host."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbone.conftest import to_numpy
from tests.metrics.test_edit_distance import compiled
from tfwav2vec2 import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.greedy import greedy_decode
from tfwav2vec2.metrics.error_rates import character_error_rate, word_error_rate
from tfwav2vec2.metrics.head_metrics import (
    CharacterErrorRate,
    ClassAccuracy,
    CodebookPerplexity,
    ContrastiveAccuracy,
    FrameAccuracy,
    WordErrorRate,
)
from tfwav2vec2.metrics.verification import EqualErrorRate, equal_error_rate

LETTERS = ["<pad>", "|", "a", "b"]
FRAMES, LABELS = 12, 7


def updated(metric: Any, *batches: tuple[Any, Any]) -> Any:
    for labels, output in batches:
        metric.update_state(labels, output)
    return metric


def value(metric: Any) -> float:
    return float(to_numpy(metric.result()))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Wav2Vec2CTCTokenizer:
    path: Path = tmp_path_factory.mktemp("letters") / "vocab.json"
    path.write_text(json.dumps({token: index for index, token in enumerate([*LETTERS, "<unk>"])}))
    return Wav2Vec2CTCTokenizer(str(path), bos_token=None, eos_token=None)


def transcript_batch(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels with padding between them, and logits that say something else."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-100, 1, 2, 3], (3, LABELS))
    output = {
        "logits": rng.standard_normal((3, FRAMES, len(LETTERS))).astype("float32"),
        "frame_lengths": rng.integers(0, FRAMES + 1, 3).astype("int32"),
    }
    return labels, output


@compiled
def errors_and_units(labels: Any, logits: Any, frame_lengths: Any) -> list[Any]:
    """What both error rates count of a batch."""
    output = {"logits": logits, "frame_lengths": frame_lengths}
    counts = []
    for metric in (WORDS, CHARACTERS):
        variables = metric.stateless_reset_state()
        counts += metric.stateless_update_state(variables, labels, output)
    return counts


WORDS, CHARACTERS = WordErrorRate(1), CharacterErrorRate(0, 1)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_error_rates_are_those_of_the_texts(tokenizer: Wav2Vec2CTCTokenizer, seed: int) -> None:
    labels, output = transcript_batch(seed)
    said = [tokenizer.decode(row[row >= 0], group_tokens=False) for row in labels]
    found = greedy_decode(output["logits"], output["frame_lengths"], tokenizer)
    words, characters = word_error_rate(said, found), character_error_rate(said, found)
    counts = [int(count) for count in errors_and_units(labels.astype("int32"), **output)]
    assert counts == [words.errors, words.units, characters.errors, characters.units]


def test_error_rates_divide_once_over_all_batches(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    batches = [transcript_batch(seed) for seed in range(3)]
    said = [tokenizer.decode(row[row >= 0], group_tokens=False) for labels, _ in batches for row in labels]
    found = [
        text
        for _, output in batches
        for text in greedy_decode(output["logits"], output["frame_lengths"], tokenizer)
    ]
    for metric, rate in (
        (WordErrorRate(1), word_error_rate(said, found)),
        (CharacterErrorRate(0, 1), character_error_rate(said, found)),
    ):
        assert value(updated(metric, *batches)) == pytest.approx(rate.rate, rel=1e-6)
        metric.reset_state()
        assert value(metric) == 0


def test_without_a_delimiter_every_token_is_a_character() -> None:
    logits = np.eye(4, dtype="float32")[[[1, 2, 0, 2, 1]]]
    output = {"logits": logits, "frame_lengths": np.array([5], "int32")}
    assert value(updated(CharacterErrorRate(), (np.array([[2, 2]]), output))) == 2 / 2
    assert value(updated(CharacterErrorRate(0, 1), (np.array([[2, 2]]), output))) == 0


def test_class_accuracy_counts_labelled_clips() -> None:
    output = {"logits": np.array([[1, 2, 0], [3, 1, 1], [0, 0, 1], [9, 0, 0]], "float32")}
    assert value(updated(ClassAccuracy(), (np.array([1, 1, 2, -100]), output))) == pytest.approx(2 / 3)
    speakers = {"speaker_scores": output["logits"], "logits": -output["logits"]}
    assert value(updated(ClassAccuracy("speaker_scores"), (np.array([1, 0, 2, 0]), speakers))) == 1


def test_frame_accuracy_counts_valid_labelled_frames() -> None:
    logits = np.eye(3, dtype="float32")[[[0, 1, 2, 2], [1, 1, 1, 1]]]
    output = {"logits": logits, "frame_lengths": np.array([4, 2], "int32")}
    indices = np.array([[0, 1, 1, -100], [1, 0, 1, 1]])
    assert value(updated(FrameAccuracy(), (indices, output))) == pytest.approx(3 / 5)
    one_hot = np.eye(3, dtype="float32")[np.maximum(indices, 0)]
    one_hot[0, 3] = 0  # nobody speaks: no class is right
    assert value(updated(FrameAccuracy(), (one_hot, output))) == pytest.approx(3 / 5)
    two_at_once = one_hot.copy()
    two_at_once[0, 2, 2] = 1
    assert value(updated(FrameAccuracy(), (two_at_once, output))) == pytest.approx(4 / 5)


def test_pretraining_metrics_weigh_frames_and_batches() -> None:
    def counts(correct: float, total: float) -> dict[str, np.ndarray]:
        return {"contrastive_correct": np.float32(correct), "contrastive_total": np.float32(total)}

    accuracy = updated(ContrastiveAccuracy(), (None, counts(1, 1)), (None, counts(2, 9)))
    assert value(accuracy) == pytest.approx(0.3)
    assert value(ContrastiveAccuracy()) == 0
    used = [(None, {"codevector_perplexity": np.float32(entries)}) for entries in (2, 5)]
    assert value(updated(CodebookPerplexity(), *used)) == pytest.approx(3.5)


def crossing(scores: np.ndarray, same: np.ndarray) -> float:
    """The equal error rate as the crossing of two polygons, threshold by threshold."""
    points = [
        (np.mean(scores[same] < threshold), np.mean(scores[~same] >= threshold))
        for threshold in [*sorted(set(scores)), np.inf]
    ]
    for (miss, alarm), (next_miss, next_alarm) in itertools.pairwise(points):
        if next_miss >= next_alarm:
            way = (alarm - miss) / ((alarm - miss) + (next_miss - next_alarm))
            return miss + way * (next_miss - miss)
    raise AssertionError


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=20))
def test_equal_error_rate_is_the_crossing(trials: list[tuple[int, bool]]) -> None:
    scores, same = (np.array(column) for column in zip(*trials, strict=True))
    if same.all() or not same.any():
        with pytest.raises(ValueError, match="needs pairs of both kinds"):
            equal_error_rate(scores, same)
        return
    assert equal_error_rate(scores, same) == pytest.approx(crossing(scores, same))


def test_equal_error_rate_of_known_scores() -> None:
    same = [True, True, False, False]
    assert equal_error_rate([0.9, 0.8, 0.1, 0.2], same) == 0
    assert equal_error_rate([0.1, 0.2, 0.9, 0.8], same) == 1
    assert equal_error_rate([0.5, 0.5, 0.5, 0.5], same) == 0.5
    with pytest.raises(ValueError, match="1 of 4 scores are not finite"):
        equal_error_rate([np.nan, 0.8, 0.1, 0.2], same)
    with pytest.raises(ValueError, match="one entry a pair"):
        equal_error_rate([0.5], same)


def voices(seed: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy embeddings of four speakers, and who they are; some are not known."""
    rng = np.random.default_rng(seed)
    speakers = rng.integers(-1, 4, clips)
    centres = rng.standard_normal((4, 5))
    return (centres[speakers] + rng.standard_normal((clips, 5))).astype("float32"), speakers


def rate_of_pairs(embeddings: np.ndarray, speakers: np.ndarray, reach: int) -> float:
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(speakers)), 2)
        if j - i <= reach and min(speakers[i], speakers[j]) >= 0
    ]
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return equal_error_rate(
        [unit[i] @ unit[j] for i, j in pairs], [speakers[i] == speakers[j] for i, j in pairs]
    )


@pytest.mark.parametrize("sizes", [(24,), (7, 7, 10), (1,) * 24])
def test_eer_is_that_of_all_pairs_however_they_are_batched(sizes: tuple[int, ...]) -> None:
    embeddings, speakers = voices(0, 24)
    ends = np.cumsum(sizes)[:-1]
    metric = EqualErrorRate(5, memory=40, bins=50_000)
    parts = zip(np.split(embeddings, ends), np.split(speakers, ends), strict=True)
    updated(metric, *((labels, {"embeddings": part}) for part, labels in parts))
    assert value(metric) == pytest.approx(rate_of_pairs(embeddings, speakers, 24), abs=2e-3)
    metric.reset_state()
    assert np.isnan(value(metric))
    updated(metric, (speakers, {"embeddings": embeddings}))
    assert value(metric) == pytest.approx(rate_of_pairs(embeddings, speakers, 24), abs=2e-3)


def test_eer_compares_with_as_many_clips_as_it_remembers() -> None:
    embeddings, speakers = voices(1, 30)
    metric = EqualErrorRate(5, memory=6, bins=50_000)
    updated(metric, *((speakers[i : i + 1], {"embeddings": embeddings[i : i + 1]}) for i in range(30)))
    assert value(metric) == pytest.approx(rate_of_pairs(embeddings, speakers, 6), abs=2e-3)
    # A batch larger than the memory is compared within itself.
    large = updated(EqualErrorRate(5, memory=6, bins=50_000), (speakers, {"embeddings": embeddings}))
    assert value(large) == pytest.approx(rate_of_pairs(embeddings, speakers, 30), abs=2e-3)


def test_eer_of_one_speaker_is_not_known() -> None:
    embeddings, _ = voices(2, 4)
    assert np.isnan(value(updated(EqualErrorRate(5), (np.zeros(4), {"embeddings": embeddings}))))
    assert np.isnan(value(updated(EqualErrorRate(5), (np.arange(4), {"embeddings": embeddings}))))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_counted_in_float32(dtype: str) -> None:
    labels, output = transcript_batch(0)
    output["logits"] = keras.ops.cast(np.round(output["logits"], 1), dtype)
    exact = output | {"logits": keras.ops.cast(output["logits"], "float32")}
    for metric in (WordErrorRate(1), CharacterErrorRate(0, 1)):
        expected = value(updated(metric, (labels, exact)))
        metric.reset_state()
        assert value(updated(metric, (labels, output))) == expected
        assert {variable.dtype for variable in metric.variables} == {"float32"}


@pytest.mark.parametrize(
    "metric",
    [
        WordErrorRate(4, blank=2, name="words"),
        CharacterErrorRate(1, None),
        CharacterErrorRate(0, 4),
        ClassAccuracy("speaker_scores"),
        FrameAccuracy(),
        ContrastiveAccuracy(),
        CodebookPerplexity(),
        EqualErrorRate(8, memory=3, bins=7),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_metrics_come_back_from_their_configuration(metric: Any) -> None:
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    )
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
