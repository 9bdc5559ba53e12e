from __future__ import annotations

from collections import Counter

import pytest

from recipes.spoken_digits.corpus import (
    SPLITS,
    WORDS,
    by_speaker,
    read_recordings,
    split_of,
)


def test_every_recording_has_one_split():
    assert split_of("lucas", 0, "lucas") == split_of("lucas", 49, "lucas") == "unheard"
    assert [split_of("george", index) for index in (0, 4, 5, 7, 8, 49)] == [
        *("heard", "heard", "validation", "validation", "train", "train")
    ]


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="fsdd/recordings"):
        read_recordings(tmp_path)


def test_the_recordings_are_split_as_the_card_says(shared_data):
    splits = read_recordings(shared_data, "lucas")
    assert {split: len(splits[split]) for split in SPLITS} == {
        "train": 1680,
        "validation": 120,
        "heard": 200,
        "unheard": 500,
    }
    assert len({clip.name for clips in splits.values() for clip in clips}) == 2500
    assert set(by_speaker(splits["unheard"])) == {"lucas"}
    for split in ("train", "validation", "heard"):
        assert "lucas" not in by_speaker(splits[split])
    words = Counter((clip.speaker, clip.words) for clip in splits["heard"])
    assert len(words) == 4 * 10
    assert set(words.values()) == {5}
    for clip in splits["train"] + splits["heard"]:
        assert clip.words == (WORDS[int(clip.name[0])],)
