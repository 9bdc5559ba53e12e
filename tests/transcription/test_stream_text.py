"""Frames collapsed as they come give what they give together."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.streams import CUTS, pieces
from tfwav2vec2 import Wav2Vec2CTCTokenizer
from tfwav2vec2.transcription.stream_text import (
    LONGEST_WORD,
    StreamedDecoder,
    StreamedText,
)
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

HOP, RATE = 320, 16_000
# Blanks, special tokens, delimiters, spaces of their own, letters, and tokens of several characters.
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", " ", "A", "b", "É", "sch", "'"]
VARIANTS = ({}, {"do_lower_case": True}, {"replace_word_delimiter_char": "_"}, {"word_delimiter_token": " "})


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[Wav2Vec2CTCTokenizer]:
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(TOKENS)}))
    return [Wav2Vec2CTCTokenizer(vocabulary, **variant) for variant in VARIANTS]


@pytest.fixture
def tokenizer(tokenizers: list[Wav2Vec2CTCTokenizer]) -> Wav2Vec2CTCTokenizer:
    return tokenizers[0]


def decoder_of(tokenizer: Wav2Vec2CTCTokenizer) -> StreamedDecoder:
    return StreamedDecoder(tokenizer, HOP, RATE)


def streamed(decoder: StreamedDecoder, parts: list[list[int]]) -> list[StreamedText]:
    return [*map(decoder.push, parts), decoder.push([], last=True)]


def ids(tokens: str) -> list[int]:
    """Blanks are written ``-``."""
    return [0 if token == "-" else TOKENS.index(token) for token in tokens]


@given(
    # One beyond the vocabulary: it is unknown.
    frames=st.lists(st.integers(0, len(TOKENS)), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    variant=st.integers(0, len(VARIANTS) - 1),
)
def test_any_split_gives_what_the_tokenizer_gives(
    tokenizers: list[Wav2Vec2CTCTokenizer], frames: list[int], cuts: list[int], variant: int
) -> None:
    tokenizer = tokenizers[variant]
    whole = tokenizer.decode(frames, output_char_offsets=True, output_word_offsets=True)
    found = streamed(decoder_of(tokenizer), pieces(frames, cuts))

    def written(text: str) -> str:
        return text.lower() if tokenizer.do_lower_case else text

    def seconds(frame: int) -> float:
        return frame * HOP / RATE

    assert "".join(text.new for text in found) == whole.text
    assert [*chain.from_iterable(text.characters for text in found)] == [
        TimedCharacter(written(of["char"]), seconds(of["start_offset"]), seconds(of["end_offset"]))
        for of in whole.char_offsets
    ]
    assert [*chain.from_iterable(text.words for text in found)] == [
        TimedWord(written(of["word"]), seconds(of["start_offset"]), seconds(of["end_offset"]))
        for of in whole.word_offsets
    ]
    assert found[-1].partial == ""
    assert found[-1].seconds == seconds(len(frames))


def test_what_is_open_is_carried_across(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    """Worked out by hand: A A | - b b, in pieces that part the double letter."""
    decoder = decoder_of(tokenizer)
    assert decoder.push(ids("-AA")) == StreamedText(new="A", partial="A", seconds=0.06)
    assert decoder.push(ids("A-")) == StreamedText(
        partial="A", characters=(TimedCharacter("A", 0.02, 0.08),), seconds=0.1
    )
    assert decoder.push(ids("A")) == StreamedText(new="A", partial="AA", seconds=0.12)
    # The space waits for what follows it, and the word is known to be complete.
    assert decoder.push(ids("|")) == StreamedText(
        words=(TimedWord("AA", 0.02, 0.12),), characters=(TimedCharacter("A", 0.1, 0.12),), seconds=0.14
    )
    assert decoder.push(ids("-b")) == StreamedText(
        new=" b", partial="b", characters=(TimedCharacter(" ", 0.12, 0.14),), seconds=0.18
    )
    assert decoder.push([], last=True) == StreamedText(
        words=(TimedWord("b", 0.16, 0.18),), characters=(TimedCharacter("b", 0.16, 0.18),), seconds=0.18
    )


@given(cuts=CUTS)
def test_a_word_without_an_end_comes_in_pieces(
    tokenizers: list[Wav2Vec2CTCTokenizer], cuts: list[int]
) -> None:
    letters = 3 * LONGEST_WORD + 7
    found = streamed(decoder_of(tokenizers[0]), pieces(ids("A-") * letters, cuts))
    assert "".join(text.new for text in found) == "A" * letters
    words = [word.text for text in found for word in text.words]
    assert [len(word) for word in words] == [LONGEST_WORD] * 3 + [7]
    assert max(len(text.partial) for text in found) <= LONGEST_WORD + 1


def test_a_reset_forgets_everything(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    decoder = decoder_of(tokenizer)
    decoder.push(ids("A|A|A"))
    decoder.reset()
    assert decoder.push(ids("A")) == StreamedText(new="A", partial="A", seconds=0.02)


def test_an_unknown_id_without_an_unknown_token_is_refused(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps({"<pad>": 0, "A": 1}))
    tokenizer = Wav2Vec2CTCTokenizer(vocabulary, bos_token=None, eos_token=None, unk_token=None)
    with pytest.raises(ValueError, match="not in the vocabulary"):
        decoder_of(tokenizer).push([1, 7])
