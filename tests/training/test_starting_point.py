"""What a training starts from: letters and classes from the examples, or the checkpoint's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import TINY
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example
from tfwav2vec2.training.starting_point import open_for_task, tokenizer_for


@pytest.fixture
def base(tmp_path: Path) -> Path:
    Wav2Vec2Config(**TINY).save_pretrained(tmp_path)
    return tmp_path


def examples(*targets: object, **fields: object) -> list[Example]:
    return [Example(str(index), b"", target, **fields) for index, target in enumerate(targets)]


def test_letters_come_from_the_transcripts(base: Path) -> None:
    model, processor = open_for_task("ctc", base, examples("Yes!", "No?"), from_scratch=True)
    tokenizer = processor.tokenizer
    assert sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) == [
        "<pad>", "<s>", "</s>", "<unk>", "|", *"enosy",
    ]  # fmt: skip
    assert model.config.vocab_size == 10
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0
    assert model.config.word_delimiter_token_id == tokenizer.word_delimiter_token_id == 4


def test_a_checkpoint_keeps_its_letters_unless_told_otherwise(spoken_digits: Path) -> None:
    model, processor = open_for_task("ctc", spoken_digits, examples("one"))
    assert "one" not in processor.tokenizer.get_vocab()
    assert model.config.vocab_size == len(processor.tokenizer)
    _, processor = open_for_task("ctc", spoken_digits, examples("one"), new_letters=True)
    assert set("one") <= set(processor.tokenizer.get_vocab())


def test_classes_are_those_of_the_examples(base: Path) -> None:
    model, _ = open_for_task("classify", base, examples("b", "a", "b"), from_scratch=True)
    assert model.config.label2id == {"a": 0, "b": 1}
    model, _ = open_for_task(
        "frames", base, examples([(0.0, 1.0, "speech")]), from_scratch=True, background="silence"
    )
    assert model.config.label2id == {"silence": 0, "speech": 1}


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("ctc", examples(None), "no transcripts"),
        ("ctc", examples("..."), "no letters"),
        ("classify", examples("a", "a"), r"name 1 classes \(a\)"),
        ("speaker", examples(None), r"name 0 classes \(none\)"),
    ],
)
def test_examples_that_teach_nothing(base: Path, task: str, given: list[Example], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_for_task(task, base, given, from_scratch=True)


def test_a_field_that_the_configuration_lacks(base: Path) -> None:
    with pytest.raises(TypeError, match="no field layer_drop"):
        open_for_task("ctc", base, examples("yes"), from_scratch=True, layer_drop=0.1)


def test_a_tokenizer_writes_what_it_was_made_of() -> None:
    tokenizer = tokenizer_for(["It's late."])
    ids = tokenizer("it's late").input_ids
    assert tokenizer.decode(ids, group_tokens=False) == "it's late"
