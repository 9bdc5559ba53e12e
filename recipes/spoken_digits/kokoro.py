"""Many people who speak almost as people do: voices of Kokoro (a neural synthesizer of 82 million weights), and mixtures of two of them.

Its weights (Apache-2.0, 92 MB at eight bits each) and its voices come from the hub, and onnxruntime runs them; pedalboard makes them
speak as fast as people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from recipes.spoken_digits.augmentation import change_tempo
from recipes.spoken_digits.corpus import WORDS

if TYPE_CHECKING:
    import onnxruntime

PROGRAM = "kokoro"
REPOSITORY, REVISION = "onnx-community/Kokoro-82M-v1.0-ONNX", "1939ad2a8e416c0acfeecc08a694d14ef25f2231"
MODEL, SYMBOLS = "onnx/model_quantized.onnx", "tokenizer.json"
RATE = 24_000

# American and British English, then Spanish, French, Hindi, Italian, Portuguese and Chinese, whose people say it as foreigners.
AMERICAN = (
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_river"),
    *("af_sarah", "af_sky", "am_adam", "am_eric", "am_liam", "am_michael", "am_onyx", "am_puck"),
)
BRITISH = ("bf_alice", "bf_emma", "bf_isabella", "bm_daniel", "bm_fable", "bm_george")
FOREIGN = (
    *("ef_dora", "em_alex", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi", "if_sara", "im_nicola"),
    *(
        "pf_dora",
        "pm_alex",
        "zf_xiaobei",
        "zf_xiaoni",
        "zf_xiaoxiao",
        "zf_xiaoyi",
        "zm_yunjian",
        "zm_yunxi",
        "zm_yunxia",
    ),
)
# Voices that only choose the checkpoint, so that it is chosen for strangers too.
VALIDATION_VOICES = ("af_nova", "am_echo", "am_fenrir", "am_santa", "bf_lily", "bm_lewis")
VALIDATION_PACES = 6
# How often one of each is drawn, and how often a person is something between two.
SHARES = (0.6, 0.22, 0.18)
MIXED = 0.7

# In its own alphabet, where a capital letter is a diphthong.
PRONUNCIATIONS = dict(
    zip(
        WORDS,
        ("zˈɪɹO", "wˈʌn", "tˈu", "θɹˈi", "fˈɔɹ", "fˈIv", "sˈɪks", "sˈɛvən", "ˈAt", "nˈIn"),
        strict=True,
    )
)
BRITISH_PRONUNCIATIONS = PRONUNCIATIONS | {"ZERO": "zˈɪəɹQ", "TWO": "tˈuː", "THREE": "θɹˈiː", "FOUR": "fˈɔː"}
# The R of these is no American one with many people. With the first way alone the model took one stranger's ZERO for TWO, 36 times of
# 36, and of four people THREE for TWO or EIGHT.
WAYS = {
    "ZERO": ("zˈɪɹO", "zˈiɹO", "zˈiɾO", "zˈiʁO", "zˈiwO", "zˈiO", "sˈɪɹO", "zˈɪɹQ"),
    "THREE": ("θɹˈi", "θɹˈiː", "θɾˈi", "θʁˈi", "θwˈi", "θˈi", "sɹˈi", "tɹˈi"),
}
USUAL = 0.4  # of the people

# A vowel of people who dictate lasts 0.1 to 0.3 s, which is twice as fast as these voices speak. Beyond half as fast again they slur, and a
# time stretch does the rest.
SLOWEST, QUICKEST, FASTEST = 90, 270, 140

# How many of the ten words are said at a time.
PIECES = (1, 1, 1, 2, 2, 3)


@dataclass(frozen=True)
class KokoroUtterance:
    """What to say and how.

    ``voice`` is a name, or two with the per cent of the second between them; ``pace`` in per cent of the voice's own; ``ending`` is
    the punctuation that gives the tune; ``way`` is the place in :data:`WAYS`, where 0 leaves it to the voice's accent.
    """

    words: tuple[str, ...]
    voice: str
    pace: int
    ending: str
    way: int = 0

    @property
    def name(self) -> str:
        """A file name that says everything that decides the sound."""
        ending = "-".join(str(ord(mark)) for mark in self.ending)
        way = f"_w{self.way}" if self.way else ""
        return f"{'-'.join(self.words).lower()}_{PROGRAM}-{self.voice}_p{self.pace}_e{ending}{way}.wav"

    def speak(self, path: Path) -> None:
        """Write it as a WAV file.

        Raises:
            ImportError: where onnxruntime or pedalboard is not installed.
            OSError: where the weights are not in the hub's cache and cannot be fetched.
        """
        first, *mixed = self.voice.split("+")
        pronunciations = BRITISH_PRONUNCIATIONS if first.startswith("b") else PRONUNCIATIONS
        if self.way:
            pronunciations = pronunciations | {word: ways[self.way] for word, ways in WAYS.items()}
        symbols = _symbols()
        ids = [symbols[each] for each in " ".join(pronunciations[word] for word in self.words) + self.ending]
        style = _voice(first)[len(ids)]
        if mixed:
            share = int(mixed[0]) / 100
            style = (1 - share) * style + share * _voice(mixed[1])[len(ids)]
        # The exports of this model name their inputs differently, and all have them in this order.
        inputs = (
            np.array([[0, *ids, 0]], np.int64),
            style[None],
            np.array([min(self.pace, FASTEST) / 100], np.float32),
        )
        session = _session()
        names = [each.name for each in session.get_inputs()]
        (sound,) = session.run(None, dict(zip(names, inputs, strict=True)))
        sound = np.asarray(sound).ravel()
        if self.pace > FASTEST:
            sound = change_tempo(sound, self.pace / FASTEST, RATE)
        soundfile.write(path, 0.5 * sound / np.abs(sound).max(), RATE, format="WAV")


def draw_utterances(people: int, rng: np.random.Generator) -> list[KokoroUtterance]:
    """Draw so many people, most of them mixtures, each of whom says every digit once, and those of :data:`WAYS` in a way of theirs."""
    (ways,) = rng.spawn(1)
    return [
        utterance for _ in range(people) for utterance in _ten_digits(_draw_person(rng), rng, _draw_way(ways))
    ]


def validation_utterances(rng: np.random.Generator) -> list[KokoroUtterance]:
    """The same of the voices that only choose, each at several paces."""
    return [
        utterance
        for _ in range(VALIDATION_PACES)
        for voice in VALIDATION_VOICES
        for utterance in _ten_digits(voice, rng)
    ]


def _draw_person(rng: np.random.Generator) -> str:
    voices = [
        str(rng.choice((AMERICAN, BRITISH, FOREIGN)[rng.choice(len(SHARES), p=SHARES)])) for _ in range(2)
    ]
    return f"{voices[0]}+{int(rng.integers(1, 6)) * 10}+{voices[1]}" if rng.random() < MIXED else voices[0]


def _draw_way(rng: np.random.Generator) -> int:
    return 0 if rng.random() < USUAL else int(rng.integers(1, len(WAYS["ZERO"])))


def _ten_digits(voice: str, rng: np.random.Generator, way: int = 0) -> Iterator[KokoroUtterance]:
    """Every digit once: alone, or two or three of them together."""
    pace = np.exp(rng.uniform(np.log(SLOWEST), np.log(QUICKEST)))
    words = [str(word) for word in rng.permutation(WORDS)]
    for piece in rng.permutation(PIECES):
        said, words = tuple(words[:piece]), words[piece:]
        own = round(pace * rng.uniform(0.92, 1.08))
        ending = str(rng.choice((".", ",", "!", "?")))
        yield KokoroUtterance(said, voice, own, ending, way if WAYS.keys() & set(said) else 0)


def _file(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(REPOSITORY, name, revision=REVISION))


@cache
def _symbols() -> dict[str, int]:
    """The id of each symbol of its alphabet."""
    ids: dict[str, int] = json.loads(_file(SYMBOLS).read_text(encoding="utf-8"))["model"]["vocab"]
    return ids


@cache
def _voice(name: str) -> np.ndarray:
    """The style (symbols, 256) of a voice for each number of symbols."""
    return np.fromfile(_file(f"voices/{name}.bin"), np.float32).reshape(-1, 256)


@cache
def _session() -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "Kokoro is run by onnxruntime, which is not installed: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # two clips are rendered at a time
    return onnxruntime.InferenceSession(_file(MODEL), options)
