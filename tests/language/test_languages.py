"""Vocabularies of several languages."""

from __future__ import annotations

import pytest

from tests.language.conftest import LETTERS, numbered
from tfwav2vec2 import Wav2Vec2CTCTokenizer

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "|"]
LANGUAGES = {
    "deu": numbered([*SPECIAL, "a", "b", "sch", "ng", "c", "d"]),
    "fra": numbered([*SPECIAL, "é", "oi", "a", "b"]),
}


@pytest.fixture
def tokenizer(make_tokenizer):
    return make_tokenizer(LANGUAGES, target_lang="deu")


def test_a_language_is_switched(tokenizer) -> None:
    assert tokenizer.tokenize("schabé") == ["sch", "a", "b", "é"]
    assert tokenizer("schabé")["input_ids"] == [7, 5, 6, 3]
    tokenizer.set_target_lang("fra")
    assert tokenizer("éoib")["input_ids"] == [5, 6, 8]
    assert tokenizer.decode([5, 6, 7, 8]) == "éoiab"
    assert (tokenizer.target_lang, tokenizer.vocab_size) == ("fra", 9)


def test_no_token_of_the_language_before_is_left(tokenizer, make_tokenizer) -> None:
    fresh = make_tokenizer(LANGUAGES, target_lang="fra")
    tokenizer.set_target_lang("fra")
    assert tokenizer.get_vocab() == fresh.get_vocab()
    assert tokenizer.added_tokens_decoder == fresh.added_tokens_decoder
    assert tokenizer("schang")["input_ids"] == fresh("schang")["input_ids"]


def test_tokens_of_ones_own_stay_where_their_ids_are_free(tokenizer) -> None:
    tokenizer.add_tokens(["XY"])
    tokenizer.set_target_lang("fra")
    assert tokenizer.convert_tokens_to_ids("XY") == 11
    tokenizer.set_target_lang("deu")
    assert tokenizer.decode([7, 11]) == "schXY"


def test_a_saved_tokenizer_keeps_its_language_and_all_others(tokenizer, tmp_path) -> None:
    tokenizer.set_target_lang("fra")
    tokenizer.save_pretrained(tmp_path)
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert again.target_lang == "fra"
    assert again.vocab == LANGUAGES
    assert again.get_vocab() == tokenizer.get_vocab()
    other = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path, target_lang="deu")
    assert other.decode(list(range(5, 11))) == "abschngcd"


def test_stale_tokens_in_a_file_do_not_shadow_the_language(make_tokenizer) -> None:
    stale = {index: {"content": token} for token, index in LANGUAGES["deu"].items() if len(token) > 1}
    tokenizer = make_tokenizer(LANGUAGES, target_lang="fra", added_tokens_decoder=stale)
    assert tokenizer.decode([5, 6, 7, 8]) == "éoiab"
    assert tokenizer("sch")["input_ids"] == [3, 3, 3]


@pytest.mark.parametrize("language", ["ita", None])
def test_an_unknown_language_is_refused(make_tokenizer, language) -> None:
    with pytest.raises(
        ValueError, match=f"2 languages and none for target_lang={language!r}; choose one of deu, fra"
    ):
        make_tokenizer(LANGUAGES, target_lang=language)


def test_an_unknown_language_changes_nothing(tokenizer) -> None:
    with pytest.raises(ValueError, match="target_lang='ita'"):
        tokenizer.set_target_lang("ita")
    assert tokenizer.target_lang == "deu"
    assert tokenizer("sch")["input_ids"] == [7]


def test_one_language_has_nothing_to_switch(make_tokenizer) -> None:
    with pytest.raises(ValueError, match="the vocabulary of one language"):
        make_tokenizer(LETTERS).set_target_lang("deu")
    with pytest.raises(ValueError, match="the vocabulary of one language"):
        make_tokenizer(LETTERS, target_lang="deu")


def test_many_languages_are_counted_rather_than_listed(make_tokenizer) -> None:
    with pytest.raises(ValueError, match=r"1000 languages.*l0, .*l19, \.\.\.$"):
        make_tokenizer({f"l{index}": {"a": 0} for index in range(1000)}, target_lang="x")


def test_a_language_that_is_no_vocabulary_is_refused(make_tokenizer) -> None:
    with pytest.raises(ValueError, match=r"\(fra\) must map each token to its id"):
        make_tokenizer(LANGUAGES | {"fra": {"a": "b"}}, target_lang="fra")
