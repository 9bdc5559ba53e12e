"""A transcriber of several languages: model and tokenizer are always in the same one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.transcription.multilingual import SPECIAL, save_multilingual
from tfwav2vec2 import TFWav2Vec2ForCTC, Transcriber, Wav2Vec2CTCTokenizer


@pytest.fixture(scope="module")
def original(tiny_model: Callable[..., TFWav2Vec2ForCTC], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    save_multilingual(folder, tiny_model)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def letters(transcriber: Transcriber, recordings: Path) -> set[str]:
    text = next(transcriber.transcribe(recordings / "a.wav")).text
    for token in SPECIAL:
        text = text.replace(token, "")
    return set(text) - {" "}


def test_a_transcriber_is_opened_in_a_language(folder: Path, recordings: Path) -> None:
    first = Transcriber.from_pretrained(folder)
    french = Transcriber.from_pretrained(folder, language="fra")
    assert french.model.target_lang == french.processor.tokenizer.target_lang == "fra"
    assert letters(first, recordings) <= set("ABCDE")
    assert letters(french, recordings) <= set("klmnopqr")
    assert letters(first, recordings)
    assert letters(french, recordings)


def test_both_ends_are_switched_together(folder: Path, recordings: Path) -> None:
    transcriber = Transcriber.from_pretrained(folder)
    text = next(transcriber.transcribe(recordings / "a.wav")).text
    transcriber.set_language("fra")
    assert letters(transcriber, recordings) <= set("klmnopqr")
    transcriber.set_language("deu")
    assert next(transcriber.transcribe(recordings / "a.wav")).text == text


def test_a_switch_that_fails_changes_nothing(folder: Path, recordings: Path) -> None:
    transcriber = Transcriber.from_pretrained(folder, language="deu")
    text = next(transcriber.transcribe(recordings / "a.wav")).text
    with pytest.raises(ValueError, match="none for target_lang='ita'"):
        transcriber.set_language("ita")
    (folder / "adapter.fra.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no adapters for the language 'fra'"):
        transcriber.set_language("fra")
    assert next(transcriber.transcribe(recordings / "a.wav")).text == text


def test_one_end_in_another_language_never_becomes_a_transcript(folder: Path, recordings: Path) -> None:
    transcriber = Transcriber.from_pretrained(folder, language="deu")
    transcriber.model.load_adapter("fra")
    message = "The model is in the language 'fra' and the tokenizer in 'deu'; switch both"
    with pytest.raises(ValueError, match=message):
        next(transcriber.transcribe(recordings / "a.wav"))
    with pytest.raises(ValueError, match=message):
        Transcriber(transcriber.model, transcriber.processor)


def test_a_vocabulary_of_another_size_is_one_clear_error(folder: Path) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(folder)  # in German, as its file is
    transcriber = Transcriber(model, Transcriber.from_pretrained(folder).processor)
    transcriber.processor.tokenizer.set_target_lang("fra")
    with pytest.raises(ValueError, match=r"has 10 outputs and the token 'r' .* set_target_lang"):
        next(transcriber.transcribe(b""))


def test_the_vocabulary_is_asked_before_the_weights_are_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"2 languages and none for target_lang='ita'.*vocab\.json"):
        Transcriber.from_pretrained(folder, language="ita")


def test_a_model_of_one_language(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="the vocabulary of one language"):
        Transcriber.from_pretrained(tiny_folder, language="eng")
    transcriber = Transcriber.from_pretrained(tiny_folder)
    with pytest.raises(ValueError, match="the vocabulary of one language"):
        transcriber.set_language("eng")
    assert isinstance(transcriber.processor.tokenizer, Wav2Vec2CTCTokenizer)
