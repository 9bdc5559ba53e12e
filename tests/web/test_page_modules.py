"""The page's streaming is the package's: windows and text of its JavaScript, run by node, against Python."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import example, given
from hypothesis import strategies as st

from tests.transcription.streams import CONFIG, CUTS, HearingEngine, numbered, pieces
from tests.web.page_needs import node
from tfwav2vec2 import Wav2Vec2CTCTokenizer
from tfwav2vec2.transcription.stream_text import LONGEST_WORD, StreamedDecoder, StreamedText
from tfwav2vec2.transcription.stream_windows import StreamWindows
from tfwav2vec2.transcription.streaming import StreamingEncoder, StreamingOptions

Ask = Callable[[dict[str, Any]], Any]

HOP, RATE = 320, 16_000
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", " ", "A", "b", "É", "sch", "'"]
VARIANTS: list[dict[str, Any]] = [
    {}, {"do_lower_case": True}, {"replace_word_delimiter_char": "_"}, {"word_delimiter_token": None},
]  # fmt: skip
# One frame of the tiny model lasts as long as its hop; options are in seconds.
FRAME = CONFIG.inputs_to_logits_ratio / RATE


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Has node run the page's modules, in one process for all tests."""
    script = Path(__file__).with_name("page_modules.mjs")
    with subprocess.Popen(
        [node(), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def asking(question: dict[str, Any]) -> Any:
            process.stdin.write(f"{json.dumps(question)}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "node stopped: see what it wrote"
            return json.loads(answer)

        yield asking
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[Wav2Vec2CTCTokenizer]:
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(TOKENS)}))
    return [Wav2Vec2CTCTokenizer(vocabulary, **variant) for variant in VARIANTS]


def sizes(windows: StreamWindows) -> dict[str, int]:
    """The windows as the server's ``/browser.json`` tells them."""
    return {**asdict(windows), "window": windows.window}


@given(
    total=st.integers(0, 3000),
    cuts=CUTS,
    left=st.integers(0, 12),
    chunk=st.integers(1, 6),
    right=st.integers(0, 6),
)
@example(total=0, cuts=[], left=3, chunk=2, right=1)
def test_the_windows_are_those_of_python(
    ask: Ask, total: int, cuts: list[int], left: int, chunk: int, right: int
) -> None:
    engine, samples = HearingEngine(), numbered(total)
    encoder = StreamingEncoder(engine, StreamingOptions(chunk * FRAME, left * FRAME, right * FRAME))
    parts = pieces(samples, cuts)
    frames = [*map(encoder.push, parts), encoder.finish()]

    found = ask({"windows": sizes(encoder.windows), "pieces": [part.tolist() for part in parts]})

    assert [np.array(window[:length]).tolist() for length, _, _, window in found] == [
        heard.tolist() for heard in engine.heard
    ]
    # What does not count is silence, and every window has the one length of the file's signature.
    for length, _, _, window in found:
        assert len(window) == encoder.windows.window
        assert not any(window[length:])
    # The frames that are kept hear what Python's hear: each of its logits holds the first sample of its frame.
    hop = encoder.windows.hop
    kept = [window[frame * hop] for _, first, end, window in found for frame in range(first, end)]
    assert kept == np.concatenate(frames)[:, 0].tolist()


@given(
    frames=st.lists(st.integers(0, len(TOKENS) - 1), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    variant=st.integers(0, len(VARIANTS) - 1),
)
@example(frames=[6, 0] * (2 * LONGEST_WORD + 7), cuts=[5, 300], variant=0)
@example(frames=[4, 6, 6, 0, 6, 4, 4, 0, 4, 7, 4], cuts=[2, 6], variant=1)
def test_the_text_is_that_of_python(
    ask: Ask, tokenizers: list[Wav2Vec2CTCTokenizer], frames: list[int], cuts: list[int], variant: int
) -> None:
    tokenizer = tokenizers[variant]
    decoder = StreamedDecoder(tokenizer, HOP, RATE)
    parts = pieces(frames, cuts)
    expected = [*map(decoder.push, parts), decoder.push([], last=True)]

    found = ask({"text": written_by(tokenizer), "pieces": parts})

    assert found == [answer(text) for text in expected]


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_another_rate_is_as_good_as_soxr(ask: Ask, rate: int) -> None:
    rng = np.random.default_rng(rate)
    noise = soxr.resample(rng.normal(0.0, 0.2, 6_000), 8_000, rate)  # nothing that 16 kHz cannot hold
    found = resampled(ask, noise, rate, [1000, 1001, 4500])
    expected = soxr.resample(noise, rate, RATE, quality="VHQ")
    assert abs(len(found) - len(expected)) <= 1
    inside = slice(100, min(len(found), len(expected)) - 100)
    error = np.array(found)[inside] - expected[inside]
    assert np.sqrt(np.mean(error**2)) < 1e-3 * np.sqrt(np.mean(expected**2))


def test_what_the_lower_rate_cannot_hold_is_kept_out(ask: Ask) -> None:
    """A tone of 10 kHz would come back as one of 6."""
    tone = np.sin(2 * np.pi * 10_000 / 48_000 * np.arange(9_600))
    found = resampled(ask, tone, 48_000, [])
    assert np.abs(found[200:-200]).max() < 1e-3


@given(total=st.integers(0, 700), cuts=CUTS, rate=st.sampled_from([44_100, 48_000]))
def test_the_split_changes_no_sample(ask: Ask, total: int, cuts: list[int], rate: int) -> None:
    sound = np.sin(np.arange(total) / 9)
    found = resampled(ask, sound, rate, cuts)
    assert found == resampled(ask, sound, rate, [])
    assert len(found) == -(-total * RATE // rate)


def resampled(ask: Ask, sound: np.ndarray, rate: int, cuts: list[int]) -> list[float]:
    parts = pieces(sound, cuts)
    return ask({"rates": [rate, RATE], "pieces": [part.tolist() for part in parts]})


def written_by(tokenizer: Wav2Vec2CTCTokenizer) -> dict[str, Any]:
    """The vocabulary as the server's ``/browser.json`` tells it."""
    return {
        "vocabulary": tokenizer.convert_ids_to_tokens(list(range(len(TOKENS)))),
        "pad_id": tokenizer.pad_token_id,
        "delimiter_id": tokenizer.word_delimiter_token_id,
        "delimiter": tokenizer.replace_word_delimiter_char,
        "lower_case": tokenizer.do_lower_case,
        "hop": HOP,
        "sampling_rate": RATE,
    }


def answer(text: StreamedText) -> dict[str, Any]:
    """What the worker sends to the page for it."""
    return {
        "new": text.new,
        "words": [{"text": word.text, "start": word.start, "end": word.end} for word in text.words],
        "partial": text.partial,
        "characters": [
            {"text": character.char, "start": character.start, "end": character.end}
            for character in text.characters
        ],
        "seconds": text.seconds,
    }
