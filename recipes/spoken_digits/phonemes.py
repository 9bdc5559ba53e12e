"""How words are pronounced, as eSpeak NG has it: what a hundred readers teach in an hour is sounds, not English spelling."""

from __future__ import annotations

from functools import cache

from recipes.spoken_digits.espeak import PROGRAM
from recipes.spoken_digits.synthesizers import run

# One character of the IPA is one label: a diphthong is two, and lengths and stresses are none.
PHONEMES = tuple("abdefhijklmnopstuvwzæðŋɑɔəɚɛɜɡɪɹɾʃʊʌʒθ")
_SAME = {"ᵻ": "ɪ", "ɐ": "ə", "r": "ɹ", "ʔ": "t"}
ACCENT = "en-us"


@cache
def pronunciation(word: str) -> str:
    """The phonemes of a word as a string, each a character of :data:`PHONEMES`: "wʌn" for ONE.

    Raises:
        FileNotFoundError: where eSpeak NG is not installed.
    """
    spoken = run(PROGRAM, "-q", "--ipa", "-v", ACCENT, word.lower())
    return "".join(found for each in spoken if (found := _SAME.get(each, each)) in PHONEMES)
