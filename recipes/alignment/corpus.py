"""The readings that teach a model English letters."""

from __future__ import annotations

from pathlib import Path

from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest

TEACHING = ("librispeech_251spk", "librispeech_3spk", "ljspeech32")


def read_examples(data: Path, *folders: str) -> list[Example]:
    """The recordings of some folders beside ``manifest.tsv``, with their transcripts."""
    return [
        example for example in read_manifest(data / "manifest.tsv") if example.id.split("/")[0] in folders
    ]
