"""Text in a graph: what the tokenizer writes of the same best path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwav2vec2 import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.greedy import greedy_decode
from tfwav2vec2.serving.graph_text import GraphText

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "É", "'", "S", ".", "ab", "N"]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    path.write_text(json.dumps({token: index for index, token in enumerate(TOKENS)}))
    return path


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(st.integers(0, len(TOKENS) + 1), min_size=1, max_size=30),
    length=st.integers(0, 30),
    options=st.sampled_from(
        [
            {},
            {"do_lower_case": True},
            {"clean_up_tokenization_spaces": True},
            {"replace_word_delimiter_char": "_"},
        ]
    ),
)
def test_texts_are_the_tokenizers(
    vocabulary: Path, ids: list[int], length: int, options: dict[str, Any]
) -> None:
    tokenizer = Wav2Vec2CTCTokenizer(vocabulary, **options)
    size = len(TOKENS) + 2  # two ids that the vocabulary does not have
    length = min(length, len(ids))
    rng = np.random.default_rng(len(ids))
    logits = rng.uniform(0, 1, (1, len(ids), size)).astype("float32")
    logits[0, np.arange(len(ids)), ids] += 2.0
    writer = GraphText.of(tokenizer, size)
    path, valid = writer.best_path(tf.constant(logits), tf.constant([length]))
    assert writer.text(path).numpy()[0].decode() == greedy_decode(logits, [length], tokenizer)[0]
    confidence = float(writer.confidence(tf.constant(logits), path, valid)[0])
    assert 0.0 <= confidence <= 1.0
    assert (confidence == 0.0) == (length == 0)


def test_confidence_is_the_mean_probability_of_what_is_written(vocabulary: Path) -> None:
    writer = GraphText.of(Wav2Vec2CTCTokenizer(vocabulary), len(TOKENS))
    probabilities = np.full((1, 4, len(TOKENS)), 0.01)
    # A blank, two letters, and a frame that is padding.
    for frame, (token, probability) in enumerate([(0, 0.9), (5, 0.5), (6, 0.7), (7, 0.2)]):
        probabilities[0, frame] = (1 - probability) / (len(TOKENS) - 1)
        probabilities[0, frame, token] = probability
    logits = tf.constant(np.log(probabilities), tf.float32)
    ids, valid = writer.best_path(logits, tf.constant([3]))
    np.testing.assert_allclose(writer.confidence(logits, ids, valid), [0.6], atol=1e-6)
    ids, valid = writer.best_path(logits, tf.constant([1]))
    np.testing.assert_allclose(writer.confidence(logits, ids, valid), [0.9], atol=1e-6)


def test_a_vocabulary_that_lacks_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"<pad>": 0, "a": 1}))
    tokenizer = Wav2Vec2CTCTokenizer(path, unk_token=None, bos_token=None, eos_token=None)
    with pytest.raises(ValueError, match="The model has 5 labels, and the vocabulary no token for"):
        GraphText.of(tokenizer, 5)
