"""What both sides share: the architecture, and which clip may be used for what."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.fsdd.clips import recording_of
from recipes.fsdd.settings import SAMPLING_RATE
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest

LABELLED_PER_DIGIT = 10

# Speakers whose takes are labelled, one to choose the settings on, and one who is heard at the end only.
HEARD, CHOOSING, UNHEARD = ("george", "jackson", "nicolas"), "yweweler", "lucas"
# Of the labelled speakers these takes are for the test, never for training; of the other, these choose.
TEST_TAKES, CHOOSING_TAKES = range(10), range(20)


def make_config() -> Wav2Vec2Config:
    """A small model at 8 kHz: a frame stands for 20 ms, as in every wav2vec 2.0; three layers."""
    return Wav2Vec2Config(
        hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=384,
        conv_dim=[32, 48, 96, 128], conv_kernel=[10, 8, 8, 4], conv_stride=[5, 4, 4, 2], conv_bias=False,
        feat_extract_norm="layer", do_stable_layer_norm=True, initializer_range=0.08,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=8, layerdrop=0.0,
    )  # fmt: skip


def unlabelled_speech(data: Path) -> list[Example]:
    """The 250 clips of LibriSpeech, one for each speaker.

    Raises:
        OSError, ValueError: as :func:`in_memory`.
    """
    return in_memory(data, "librispeech_251spk/")


@dataclass(frozen=True)
class Digits:
    """Single digits, in lists that share no clip.

    Attributes:
        labelled: what the labelled clips of a seed are drawn from.
        choosing: another speaker's, which choose the settings.
        heard: the test on the speakers of ``labelled``.
        unheard: the test on a speaker who is in no other list.
    """

    labelled: list[Example]
    choosing: list[Example]
    heard: list[Example]
    unheard: list[Example]

    @classmethod
    def read(cls, data: Path) -> Digits:
        """All lists from the folder with ``manifest.tsv``, which names the clips ``fsdd/...``.

        Raises:
            OSError, ValueError: as :func:`in_memory`.
        """
        lists = cls([], [], [], [])
        for example in in_memory(data, "fsdd/"):
            clip = recording_of(example)
            if clip.speaker in HEARD:
                (lists.heard if clip.take in TEST_TAKES else lists.labelled).append(example)
            elif clip.speaker == CHOOSING and clip.take in CHOOSING_TAKES:
                lists.choosing.append(example)
            elif clip.speaker == UNHEARD:
                lists.unheard.append(example)
        return lists

    def labelled_clips(self, seed: int) -> list[Example]:
        """Ten clips of each digit, drawn by the seed from all labelled speakers."""
        draw = np.random.default_rng((seed, 10))
        chosen: list[Example] = []
        for digit in range(10):
            takes = [example for example in self.labelled if recording_of(example).digit == digit]
            chosen += [takes[index] for index in draw.permutation(len(takes))[:LABELLED_PER_DIGIT]]
        return chosen


def in_memory(data: Path, prefix: str) -> list[Example]:
    """The manifest's clips whose name begins so, decoded and resampled once rather than in every epoch.

    Read at the digits' rate, the speech without labels sounds like them.

    Raises:
        OSError, ValueError: as ``read_manifest``; where there is no such clip.
    """
    clips = [example for example in read_manifest(data / "manifest.tsv") if example.id.startswith(prefix)]
    if not clips:
        raise ValueError(f"{data / 'manifest.tsv'} names no clip {prefix}...; the recipe needs them")
    return list(_decoded(clips))


def _decoded(examples: Iterable[Example]) -> Iterable[Example]:
    for example in examples:
        waveform = read_clip(example, SAMPLING_RATE)
        yield dataclasses.replace(example, audio=waveform, sampling_rate=SAMPLING_RATE)
