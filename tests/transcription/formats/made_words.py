"""Words of every kind and times of every order, for hypothesis to draw from."""

from __future__ import annotations

from hypothesis import strategies as st

from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord, Transcript

# What means something to one format or another, and what a parser may take for the end of a line or of a text.
AWKWARD = [
    '"', '""', "'", "\\", "<b>", "</c>", "<00:00:01.000>", "&amp;", "&", "-->", "--->", "{\\an8}", ";;", "#", "1", "NOTE",
    "WEBVTT", "STYLE", "00:00:01,000", "\t", "a\tb", "a\nb", "\r\n", "\x00", "a\x1cb", "\x85", "\u2028", "\ufeff", "\xa0",
    "שלום", "مرحبا", "\u202eabc", "e\u0301", "你好世界", "👩‍👩‍👧", "intervals [1]:", "xmin = 0", 'text = "x"', "item [1]:",
    "=", "!", "…", "I", "straße",
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=12), st.sampled_from(AWKWARD), st.from_regex(r"[A-Z']{1,9}", fullmatch=True)
)
confidences = st.none() | st.floats(0, 1)
# Up to a day, at any number of decimals.
times = st.floats(0, 86_400)


@st.composite
def ordered_words(draw: st.DrawFn, most: int = 20) -> list[TimedWord]:
    """Words as a decoder gives them: in order, apart, in frames of 20 ms, each character in its place."""
    at, words = draw(st.integers(0, 500)), []
    for _ in range(draw(st.integers(0, most))):
        text = draw(texts)
        begun, characters = at, []
        for character in text:
            held = draw(st.integers(1, 3))
            characters.append(TimedCharacter(character, at / 50, (at + held) / 50))
            at += held + draw(st.integers(0, 2))
        end = characters[-1].end if characters else begun / 50
        words.append(TimedWord(text, begun / 50, end, draw(confidences), tuple(characters)))
        at += draw(st.integers(0, 100))
    return words


@st.composite
def any_words(draw: st.DrawFn) -> list[TimedWord]:
    """Words whose times overlap, run backwards, and end before they begin."""
    anywhere = st.floats(-10, 100) | times
    word = st.builds(TimedWord, texts, anywhere, anywhere, confidences)
    return draw(st.lists(word, max_size=12))


words = ordered_words() | any_words()


def transcript(words: list[TimedWord], file: str = "clip.wav", seconds: float | None = None) -> Transcript:
    """A transcript of these words."""
    end = max([word.end for word in words], default=0.0) if seconds is None else seconds
    return Transcript(file, " ".join(word.text for word in words), max(end, 0.0), None, tuple(words))
