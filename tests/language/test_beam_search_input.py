"""What the beam search is handed by mistake: each fault is an error that says so, and never a wrong transcript."""

from __future__ import annotations

import logging
import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tests.test_processor import VOCABULARY, make_processor
from tfwav2vec2 import Wav2Vec2ProcessorWithLM, build_ctcdecoder

LETTERS = ["", " ", "a", "b"]
PIECES = ["", "▁a", "a", "b", "▁b"]
SPECIAL = ["<s>", "</s>", "<unk>"]
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "model.arpa"
    return write_arpa(path, random_ngrams(["a", "ab", "ba", "A", "BAD"], 3, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def processor(tmp_path_factory, arpa) -> Wav2Vec2ProcessorWithLM:
    plain = make_processor(tmp_path_factory.mktemp("processor"))
    return Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(list(VOCABULARY), arpa)
    )


@pytest.mark.parametrize(
    ("logits", "options", "message"),
    [
        (np.zeros((3, 5)), {}, "The logits have 5 labels and the alphabet 4"),
        (np.zeros((1, 3, 4)), {}, r"must have the shape \(frames, labels\); got \(1, 3, 4\)"),
        (np.zeros(4), {}, r"must have the shape \(frames, labels\); got \(4,\)"),
        (np.full((3, 4), np.nan), {}, "The logits of frame 0 hold NaN"),
        (np.array([[0.0] * 4, [0, np.inf, 0, 0]]), {}, "The logits of frame 1 hold NaN or infinity"),
        (np.full((1, 4), -np.inf), {}, "nothing but minus infinity"),
        (np.zeros((3, 4), complex), {}, "Logits must be real numbers; got an array of complex128"),
        ([["a"] * 4], {}, "Logits must be real numbers; got an array of <U1"),
        ([[None] * 4], {}, "Logits must be real numbers; got an array of object"),
        (np.zeros((3, 4)), {"beam_width": 0}, "beam_width must be a whole number from 1 to"),
        (np.zeros((3, 4)), {"beam_width": 10**9}, "beam_width must be a whole number from 1 to"),
        (np.zeros((3, 4)), {"beam_width": 10.0}, "beam_width must be a whole number from 1 to"),
        (np.zeros((3, 4)), {"beam_width": "10"}, "beam_width must be a whole number from 1 to"),
        (np.zeros((3, 4)), {"beam_prune_logp": 1.0}, "beam_prune_logp must be a logarithm of at most 0"),
        (np.zeros((3, 4)), {"beam_prune_logp": "-1"}, "beam_prune_logp must be a logarithm of at most 0"),
        (np.zeros((3, 4)), {"token_min_logp": float("nan")}, "token_min_logp must be a number"),
        (np.zeros((3, 4)), {"token_min_logp": None}, "token_min_logp must be a number"),
        (np.zeros((3, 4)), {"hotword_weight": float("inf")}, "hotword_weight must be a finite number"),
        (np.zeros((3, 4)), {"hotword_weight": [1.0]}, "hotword_weight must be a finite number"),
        (np.zeros((3, 4)), {"hotwords": "word"}, "hotwords must be a list of words; got the text 'word'"),
        (np.zeros((3, 4)), {"hotwords": [3]}, "hotwords must be a list of words; it holds 3"),
        (np.zeros((3, 4)), {"hotwords": ["a", None]}, "hotwords must be a list of words; it holds None"),
        (np.zeros((3, 4)), {"hotwords": 3}, "hotwords must be a list of words; got 3"),
        (np.zeros((3, 4)), {"n_best": 0}, "n_best must be a whole number from 1 on"),
    ],
)
def test_bad_input(logits, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        build_ctcdecoder(LETTERS).decode_beams(logits, **options)


@pytest.mark.parametrize("tokens", [["<pad>", "|", "C", "D"], ["<pad>", "▁c", "d", "▁d"]])
def test_labels_that_cannot_spell_the_words(arpa, tokens) -> None:
    with pytest.raises(ValueError, match="The labels can spell 0 of the language model's 5 words, such as"):
        build_ctcdecoder(tokens, arpa)


def test_labels_that_can_spell_few_words_are_remarked_on(arpa, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        build_ctcdecoder(["<pad>", "|", "A"], arpa)
    assert "The labels can spell only 1 of the language model's 5 words" in caplog.text


def test_hotwords_that_the_labels_cannot_spell_are_remarked_on_and_change_nothing(caplog) -> None:
    decoder = build_ctcdecoder(LETTERS)
    logits = 2 * np.random.default_rng(0).normal(size=(20, 4))
    with caplog.at_level(logging.WARNING):
        beams = decoder.decode_beams(logits, hotwords=["Zürich", "AB", "ba"])
    assert "The labels cannot spell the hotwords 'AB', 'Zürich'" in caplog.text
    assert [beam.text for beam in beams] == [
        beam.text for beam in decoder.decode_beams(logits, hotwords=["ba"])
    ]


def test_no_frames_are_no_words(processor) -> None:
    (beam,) = build_ctcdecoder(LETTERS).decode_beams(np.zeros((0, 4)), hotwords=["a"])
    assert (beam.text, beam.word_frames, beam.logit_score) == ("", [], 0.0)
    output = processor.batch_decode([np.zeros((0, len(VOCABULARY)))], output_word_offsets=True)
    assert (output.text, output.word_offsets) == ([""], [[]])
    with pytest.raises(ValueError, match="The logits have 3 labels and the alphabet 13"):
        processor.batch_decode([np.zeros((0, 3))])


@pytest.mark.parametrize(
    "logits",
    [np.zeros((9, len(VOCABULARY))), np.zeros((2, 1, 9, len(VOCABULARY))), np.zeros(5)],
    ids=["one recording", "a batch of batches", "one frame"],
)
def test_a_batch_of_another_shape(processor, logits) -> None:
    """A single recording would pass for recordings of one frame each, and a batch of batches for longer ones."""
    with pytest.raises(ValueError, match=r"must be \(batch, frames, vocab\), or a list of \(frames, vocab\)"):
        processor.batch_decode(logits)


def test_a_fault_in_a_batch_names_the_recording(processor) -> None:
    batch = np.zeros((3, 5, len(VOCABULARY)))
    batch[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="Recording 1 of the batch: The logits of frame 2 hold NaN"):
        processor.batch_decode(batch)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=4), st.binary(max_size=3),
)  # fmt: skip
numbers = st.floats(width=32) | st.sampled_from([0.0, -1e300, 1e300, -np.inf, 5e-324])
frames = st.lists(st.lists(numbers, min_size=3, max_size=5), max_size=6)


@settings(relaxed, max_examples=300)
@given(logits=frames | anything, options=st.dictionaries(st.sampled_from(
    ["beam_width", "beam_prune_logp", "token_min_logp", "hotwords", "hotword_weight", "lexicon_bound", "n_best"]
), anything))  # fmt: skip
@example(logits=[[1e300, -1e300, 0.0, 0.0]], options={})
@example(logits=[[0.0] * 4] * 5, options={"beam_width": 2**16})
@example(logits=[[0.0] * 4] * 5, options={"hotword_weight": 1e300, "hotwords": ["ab"]})
@example(logits=[[0.0] * 4] * 5, options={"hotword_weight": -1e300, "hotwords": ["a"]})
@example(logits=[[0.0] * 4] * 5, options={"beam_prune_logp": -math.inf, "token_min_logp": -math.inf})
@example(logits=[[0.0] * 4] * 5, options={"token_min_logp": math.inf})
@example(logits=[[0.0] * 4] * 5, options={"hotwords": ["", " ", "\x00", "\ud800"]})
def test_whatever_it_is_handed_is_decoded_or_refused_in_one_line(logits, options) -> None:
    decoder = build_ctcdecoder(LETTERS)
    try:
        beams = decoder.decode_beams(logits, **options)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert re.fullmatch(r".+", refusal)
        return
    assert beams
    for beam in beams:
        assert set(beam.text) <= set("ab ")
        assert not math.isnan(beam.logit_score)
        assert not math.isnan(beam.lm_score)


@settings(relaxed, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    favoured=st.lists(st.sampled_from(["<s>", "</s>", "<unk>", "[UNK]", "<pad>", "A", "▁A", "B", "|"])),
    pieces=st.booleans(),
    with_model=st.booleans(),
    hotwords=st.none() | st.lists(st.sampled_from(["<s>", "<unk>", "A", "⁇", "</s>A"])),
)
def test_special_tokens_never_reach_a_text(arpa, seed, favoured, pieces, with_model, hotwords) -> None:
    """However likely the model has them, and whatever else is asked for."""
    tokens = ["<pad>", *SPECIAL, "▁A", "A", "B", "▁"] if pieces else ["<pad>", *SPECIAL, "|", "A", "B"]
    decoder = build_ctcdecoder(tokens, arpa if with_model else None)
    logits = np.random.default_rng(seed).normal(size=(len(favoured) + 5, len(tokens)))
    for frame, token in enumerate(favoured):
        if token in tokens:
            logits[frame, tokens.index(token)] += 30
    for beam in decoder.decode_beams(logits, hotwords=hotwords):
        assert set(beam.text) <= set("AB ")
        assert all(set(word) <= set("AB") for word, _ in beam.word_frames)
