"""The processor with a language model: its own methods; the search has tests of its own."""

from __future__ import annotations

import json
import logging
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest

from tests.language.arpa_files import random_ngrams, write_arpa
from tests.test_processor import CLIPS, RATE, VOCABULARY, make_processor
from tfwav2vec2 import (
    AutoProcessor,
    Wav2Vec2DecoderWithLMOutput,
    Wav2Vec2Processor,
    Wav2Vec2ProcessorWithLM,
    build_ctcdecoder,
)

WORDS = ["A", "BAD", "CAB", "FACE", "HEAD"]
LOGITS = 3 * np.random.default_rng(0).normal(size=(3, 30, len(VOCABULARY)))


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    ngrams = random_ngrams(WORDS, 3, np.random.default_rng(0))
    return write_arpa(tmp_path_factory.mktemp("lm") / "3gram.arpa", ngrams)


@pytest.fixture
def processor(tmp_path, arpa) -> Wav2Vec2ProcessorWithLM:
    plain = make_processor(tmp_path)
    return Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(list(VOCABULARY), arpa)
    )


def test_calls_and_padding_are_those_of_the_plain_processor(processor) -> None:
    plain = Wav2Vec2Processor(processor.feature_extractor, processor.tokenizer)
    for one, other in (
        (processor(CLIPS, sampling_rate=RATE, padding=True), plain(CLIPS, sampling_rate=RATE, padding=True)),
        (processor(text="AB"), plain(text="AB")),
        (
            processor.pad({"input_values": CLIPS}, labels=[{"input_ids": [5]}]),
            plain.pad({"input_values": CLIPS}, labels=[{"input_ids": [5]}]),
        ),
    ):
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_decode_returns_the_best_text_or_several(processor) -> None:
    best = processor.decode(LOGITS[0])
    assert type(best) is Wav2Vec2DecoderWithLMOutput
    assert list(best) == ["text", "logit_score", "lm_score"]
    assert best.word_offsets is None
    assert set(best.text) <= set(" ABCDEFGH")
    several = processor.decode(LOGITS[0], n_best=3, output_word_offsets=True)
    assert [len(several[name]) for name in several] == [3, 3, 3, 3]
    assert (several.text[0], several.lm_score[0]) == (best.text, best.lm_score)
    for text, offsets in zip(several.text, several.word_offsets, strict=True):
        assert " ".join(offset["word"] for offset in offsets) == text
        assert list(offsets[0]) == ["word", "start_offset", "end_offset"]


def test_a_batch_is_its_recordings_whoever_brings_a_pool(processor, caplog) -> None:
    singles = [processor.decode(logits, output_word_offsets=True) for logits in LOGITS]
    with ThreadPool(2) as pool:
        for options in ({}, {"num_processes": 2}, {"pool": pool}):
            batch = processor.batch_decode(LOGITS, **options, output_word_offsets=True)
            for name in batch:
                assert batch[name] == [single[name] for single in singles]
    assert batch.text == processor.batch_decode(list(LOGITS)).text
    assert processor.batch_decode(LOGITS, n_best=2).text[1] == processor.decode(LOGITS[1], n_best=2).text
    assert processor.batch_decode([]).text == []
    with pytest.raises(ValueError, match="num_processes must be a whole number from 1 on; got 0"):
        processor.batch_decode(LOGITS, num_processes=0)


def test_rows_that_fill_up_shorter_clips_are_left_out(processor) -> None:
    padded = np.concatenate([LOGITS, np.full((3, 7, len(VOCABULARY)), -100.0)], axis=1)
    assert processor.batch_decode(padded) == processor.batch_decode(LOGITS)


@pytest.mark.parametrize("kind", ["tensorflow", "jax.numpy"])
def test_tensors_are_decoded(processor, kind) -> None:
    framework = pytest.importorskip(kind)
    array = LOGITS.astype(np.float32)
    tensor = framework.constant(array) if kind == "tensorflow" else framework.asarray(array)
    assert processor.batch_decode(tensor) == processor.batch_decode(array)
    assert processor.decode(tensor[0]) == processor.decode(array[0])


def test_weights_of_a_call_persist_and_must_be_floats(processor) -> None:
    before = processor.decode(LOGITS[0]).lm_score
    assert processor.decode(LOGITS[0], alpha=2.0, beta=0.0).lm_score != before
    assert (processor.language_model.alpha, processor.language_model.beta) == (2.0, 0.0)
    with pytest.raises(ValueError, match="alpha must be a float; got 1"):
        processor.decode(LOGITS[0], alpha=1)


def test_special_tokens_never_reach_the_text(processor) -> None:
    logits = np.full((9, len(VOCABULARY)), -8.0)
    for frame, token in enumerate(["<s>", "A", "<unk>", "|", "</s>", "B", "<pad>", "B", "</s>"]):
        logits[frame, VOCABULARY[token]] = 8
    for text in processor.decode(logits, n_best=20).text:
        assert set(text) <= set("ABCDEFGH ")


def test_named_special_tokens_never_reach_the_text_either(tmp_path) -> None:
    names = {"[BOS]": "<s>", "[EOS]": "</s>"}
    vocabulary = {
        next((new for new, old in names.items() if old == token), token): at
        for token, at in VOCABULARY.items()
    }
    plain = make_processor(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps(vocabulary))
    tokenizer = type(plain.tokenizer)(tmp_path / "other.json", bos_token="[BOS]", eos_token="[EOS]")
    processor = Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, tokenizer, build_ctcdecoder(list(vocabulary))
    )
    logits = np.zeros((2, len(vocabulary)))
    logits[0, vocabulary["[BOS]"]] = logits[1, vocabulary["[EOS]"]] = 20
    assert "[" not in processor.decode(logits).text


def test_n_best_may_find_fewer(processor, caplog) -> None:
    logits = np.full((3, len(VOCABULARY)), -100.0)
    logits[:, 5] = 100
    with caplog.at_level(logging.INFO):
        assert processor.decode(logits, n_best=5).text == ["A"]
    assert "5 texts were asked for, and 1 found" in caplog.text


def test_a_folder_comes_back_through_the_class_and_the_door(processor, tmp_path) -> None:
    processor.decode(LOGITS[0], alpha=0.25)
    paths = processor.save_pretrained(tmp_path / "saved")
    assert {path.rpartition("/")[2] for path in paths} >= {
        "alphabet.json",
        "attrs.json",
        "unigrams.txt",
        "vocab.json",
    }
    for opened in (
        Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "saved"),
        AutoProcessor.from_pretrained(tmp_path / "saved"),
    ):
        assert type(opened) is Wav2Vec2ProcessorWithLM
        assert opened.language_model.alpha == 0.25
        assert opened.batch_decode(LOGITS, n_best=3) == processor.batch_decode(LOGITS, n_best=3)
    assert type(Wav2Vec2Processor.from_pretrained(tmp_path / "saved")) is Wav2Vec2Processor


def test_weights_can_be_given_when_opening(processor, tmp_path) -> None:
    processor.save_pretrained(tmp_path)
    opened = AutoProcessor.from_pretrained(
        tmp_path, alpha=1.0, beta=2.0, unk_score_offset=-3.0, score_boundary=False, unigram_encoding="utf-8"
    )
    assert opened.language_model.weights() == {
        "alpha": 1.0,
        "beta": 2.0,
        "unk_score_offset": -3.0,
        "score_boundary": False,
    }


def test_a_subfolder(processor, tmp_path) -> None:
    processor.save_pretrained(tmp_path / "inner")
    assert Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path, subfolder="inner").language_model is not None


def test_parts_that_do_not_belong_together(processor) -> None:
    with pytest.raises(
        ValueError, match="The tokenizer has the tokens 'H', which the decoder's alphabet lacks"
    ):
        Wav2Vec2ProcessorWithLM(
            processor.feature_extractor, processor.tokenizer, build_ctcdecoder(list(VOCABULARY)[:-1])
        )
    with pytest.raises(
        TypeError, match=r"decoder must be a BeamSearchDecoderCTC of this package; got a builtins\.str"
    ):
        Wav2Vec2ProcessorWithLM(processor.feature_extractor, processor.tokenizer, "decoder")


def test_a_checkpoint_without_a_decoder_says_what_is_missing(tmp_path) -> None:
    make_processor(tmp_path).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no alphabet\.json"):
        Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path)


def test_pieces_of_words_with_an_unknown_token(tmp_path, arpa) -> None:
    """The reference's own processor refuses such a vocabulary; its decoder does not."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "▁", "▁A", "▁BA", "D", "A"]
    plain = make_processor(tmp_path)
    (tmp_path / "pieces.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    tokenizer = type(plain.tokenizer)(tmp_path / "pieces.json")
    processor = Wav2Vec2ProcessorWithLM(plain.feature_extractor, tokenizer, build_ctcdecoder(tokens, arpa))
    logits = np.zeros((5, len(tokens)))
    for frame, token in enumerate(["▁BA", "<unk>", "D", "▁A", "</s>"]):
        logits[frame, tokens.index(token)] = 9
    assert processor.decode(logits).text == "BAD A"
    processor.save_pretrained(tmp_path / "saved")
    assert Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "saved").decode(logits).text == "BAD A"
