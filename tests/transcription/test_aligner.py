from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.spoken_digits.corpus import SPEAKERS
from tfwav2vec2 import Transcriber, load_audio
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.backbone.lengths import frame_lengths, shortest_clip
from tfwav2vec2.language.alignment import forced_align
from tfwav2vec2.transcription.aligner import AlignedTranscript, Aligner, Heard, align, widened
from tfwav2vec2.transcription.longform import LongformOptions

TEXT = "Ab\u2014c, \u201cbead\u201d!\n\ncab ..."
DIGITS_A_STRING, STRINGS = 6, 3
FRAME = 0.02  # of the embedded model, in seconds


@pytest.fixture(scope="module")
def aligner(tiny_folder: Path) -> Aligner:
    return Aligner.from_pretrained(tiny_folder)


@pytest.fixture(scope="module")
def found(aligner: Aligner, recordings: Path) -> AlignedTranscript:
    return aligner.align(recordings / "a.wav", TEXT)


def test_words_come_out_as_they_were_written(found: AlignedTranscript, recordings: Path) -> None:
    assert found.file == str(recordings / "a.wav")
    assert found.text == " ".join(TEXT.split())
    assert [word.text for word in found.words] == ["Ab\u2014c,", "\u201cbead\u201d!", "cab ..."]
    assert ["".join(each.char for each in word.characters) for word in found.words] == ["Abc", "bead", "cab"]
    assert [line.text for line in found.lines] == ["Ab\u2014c, \u201cbead\u201d!", "cab ..."]


def test_times_are_in_order(found: AlignedTranscript) -> None:
    characters = [each for word in found.words for each in word.characters]
    times = [time for each in characters for time in (each.start, each.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= found.seconds == pytest.approx(0.5, abs=1e-3)
    assert all(each.start < each.end for each in characters)
    for word in found.words:
        assert (word.start, word.end) == (word.characters[0].start, word.characters[-1].end)
        assert 0 < word.confidence < 1
    first, second = found.lines
    assert (first.start, first.end) == (found.words[0].start, found.words[1].end)
    assert (second.start, second.end) == (found.words[2].start, found.words[2].end)
    assert first.confidence == pytest.approx((found.words[0].confidence + found.words[1].confidence) / 2)


def test_times_are_those_of_the_best_path(tiny_folder: Path, recordings: Path) -> None:
    """By hand: logits, path, and frames that stand for the middle of the samples that they hear."""
    transcriber = Transcriber.from_pretrained(tiny_folder)
    hop = transcriber.model.config.inputs_to_logits_ratio
    first = (shortest_clip(transcriber.model.config) - hop) / 2
    waveform = load_audio(recordings / "a.wav")
    logits = transcriber.engine(waveform[None], [len(waveform)])["logits"][0]
    tokenizer = transcriber.processor.tokenizer
    path = forced_align(logits, tokenizer("BAD CAB").input_ids, delimiter=tokenizer.word_delimiter_token_id)
    found = Aligner(transcriber.engine, reach=0).align(recordings / "a.wav", "bad cab")
    characters = [each for word in found.words for each in word.characters]

    def seconds(frames: np.ndarray) -> np.ndarray:
        return np.minimum((first + hop * frames[[0, 1, 2, 4, 5, 6]]) / SAMPLE_RATE, found.seconds)

    assert [each.start for each in characters] == pytest.approx(seconds(path.starts))
    assert [each.end for each in characters] == pytest.approx(seconds(path.ends))
    confidences = [path.probabilities[:3].mean(), path.probabilities[4:].mean()]
    assert [word.confidence for word in found.words] == pytest.approx(confidences)
    assert found.score == pytest.approx(path.score / len(logits))


def test_every_way_to_a_model_gives_the_same(
    found: AlignedTranscript, tiny_folder: Path, recordings: Path
) -> None:
    transcriber = Transcriber.from_pretrained(tiny_folder)
    source = recordings / "a.wav"
    assert align(source, TEXT, tiny_folder) == found
    assert align(source, TEXT, transcriber.model, transcriber.processor) == found
    assert Aligner(transcriber.engine, transcriber.processor.tokenizer).align(source, TEXT) == found
    waveform = load_audio(source)
    of_array = align(waveform, TEXT, tiny_folder, source_rate=SAMPLE_RATE)
    assert dataclasses.replace(of_array, file=found.file) == found


@given(
    gaps=st.lists(st.floats(0, 0.5), min_size=2, max_size=12).filter(lambda gaps: len(gaps) % 2 == 0),
    after=st.floats(0, 0.5),
    reach=st.floats(0, 0.3),
)
def test_spans_grow_by_the_reach_and_never_into_one_another(
    gaps: list[float], after: float, reach: float
) -> None:
    times = np.cumsum(gaps)
    starts, ends = times[::2], times[1::2]
    seconds = float(times[-1] + after)
    wider_starts, wider_ends = widened(starts, ends, reach, seconds)
    assert wider_starts.min() >= -1e-12
    assert wider_ends.max() <= seconds + 1e-12
    assert (wider_starts <= starts + 1e-12).all()
    assert (wider_ends >= ends - 1e-12).all()
    assert (wider_starts[1:] >= wider_ends[:-1] - 1e-12).all()
    room = (starts[1:] - ends[:-1]) / 2
    np.testing.assert_allclose(starts[1:] - wider_starts[1:], np.minimum(room, reach), atol=1e-12)
    np.testing.assert_allclose(wider_ends[:-1] - ends[:-1], np.minimum(room, reach), atol=1e-12)


def test_a_reach_of_nothing_gives_the_frames_alone(aligner: Aligner, recordings: Path) -> None:
    spikes = Aligner(aligner.engine, reach=0).align(recordings / "a.wav", "bad")
    wide = Aligner(aligner.engine, reach=1).align(recordings / "a.wav", "bad")
    assert (wide.words[0].start, wide.words[0].end) == (0, wide.seconds)
    assert spikes.words[0].start > 0
    assert spikes.words[0].confidence == wide.words[0].confidence


def test_digits_that_the_model_lacks_stand_for_what_is_said(aligner: Aligner, recordings: Path) -> None:
    source = recordings / "a.wav"
    with pytest.raises(ValueError, match="no letters for '7' \\(as in '7b'\\)"):
        aligner.align(source, "a 7b")
    seven, known = aligner.align(source, "7 7b", unknown="wildcard").words
    assert seven.confidence is None
    assert [each.char for each in seven.characters] == ["7"]
    assert 0 < known.confidence < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text has no letters"),
        ("?!", "the text has no letters"),
        ("abc xyz", "no letters for 'x', 'y', 'z'"),
        ("abcd" * 1000, r"a\.wav: The text cannot be aligned: it needs 4000 frames at least"),
    ],
)
def test_texts_that_cannot_be_aligned(aligner: Aligner, recordings: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aligner.align(recordings / "a.wav", text)


def test_recordings_that_cannot_be_aligned(aligner: Aligner, recordings: Path) -> None:
    with pytest.raises(ValueError, match="<array> lasts less than one frame"):
        aligner.align(np.zeros(3, np.float32), "a", source_rate=SAMPLE_RATE)
    with pytest.raises(FileNotFoundError):
        aligner.align(recordings / "missing.wav", "a")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        aligner.align(recordings / "notes.txt", "a")


def test_a_model_that_computes_nan_is_named(aligner: Aligner) -> None:
    heard = Heard("clip.wav", 0.05, np.full((3, 10), np.nan), 0.02, 0.0)
    with pytest.raises(ValueError, match=r"clip\.wav: The logits of frame 0 hold NaN"):
        aligner.align_heard(heard, aligner.spell("a"))


def test_what_no_aligner_can_be_made_of(aligner: Aligner, tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="server has no vocabulary to spell a text with"):
        Aligner(SimpleNamespace(name="server"))  # type: ignore[arg-type]
    for reach in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="reach is a number of seconds from 0 on"):
            Aligner(aligner.engine, reach=reach)
    with pytest.raises(ValueError, match="without its processor"):
        align("clip.wav", "a", Transcriber.from_pretrained(tiny_folder).model)


def joined_digits(
    data: Path, rng: np.random.Generator, speaker: str
) -> tuple[np.ndarray, list[int], list[tuple[float, float]]]:
    """Recordings of single digits with pauses between them, the digits, and when each recording lasts."""
    pieces, times, digits = [], [], rng.integers(10, size=DIGITS_A_STRING).tolist()
    length = 0
    for digit in digits:
        clip = load_audio(data / "fsdd" / "recordings" / f"{digit}_{speaker}_{rng.integers(5)}.wav")
        pause = np.zeros(int(rng.uniform(0.05, 0.3) * SAMPLE_RATE), np.float32)
        length += len(pause)
        times.append((length / SAMPLE_RATE, (length + len(clip)) / SAMPLE_RATE))
        length += len(clip)
        pieces += [pause, clip]
    return np.concatenate(pieces), digits, times


def test_digits_are_found_where_they_were_put(shared_data: Path) -> None:
    """The embedded model marks a digit where it begins, at the earliest a frame before."""
    aligner = Aligner.from_pretrained()
    rng = np.random.default_rng(0)
    inside, starts, ends, right, wrong = [], [], [], [], []
    for speaker in SPEAKERS * STRINGS:
        waveform, digits, times = joined_digits(shared_data, rng, speaker)
        heard = aligner.hear(waveform, source_rate=SAMPLE_RATE)
        found = aligner.align_heard(heard, aligner.spell(" ".join(map(str, digits))))
        for word, (start, end) in zip(found.words, times, strict=True):
            inside.append(start - FRAME <= (word.start + word.end) / 2 <= end)
            starts.append(1000 * (word.start - start))
            ends.append(1000 * (word.end - end))
            right.append(word.confidence)
        place = rng.integers(DIGITS_A_STRING)
        digits[place] = (digits[place] + rng.integers(1, 10)) % 10
        other = aligner.align_heard(heard, aligner.spell(" ".join(map(str, digits))))
        wrong.append(other.words[place].confidence)
    assert np.mean(inside) > 0.97
    print(
        f"median error: {np.median(np.abs(starts)):.0f} ms at starts, {np.median(np.abs(ends)):.0f} ms at ends"
    )
    assert np.median(np.abs(starts)) < 80
    assert np.median(np.abs(ends)) < 400
    assert np.median(right) > 0.7
    assert np.median(wrong) < 0.05


def test_a_long_recording_is_aligned_as_one(shared_data: Path) -> None:
    """The model hears three seconds at a time, and no word is lost where its pieces meet."""
    rng = np.random.default_rng(1)
    strings = [joined_digits(shared_data, rng, "jackson") for _ in range(4)]
    waveform = np.concatenate([each[0] for each in strings])
    digits, times, before = [], [], 0.0
    for samples, said, spans in strings:
        digits += said
        times += [(before + start, before + end) for start, end in spans]
        before += len(samples) / SAMPLE_RATE
    embedded = Aligner.from_pretrained()
    aligner = Aligner(embedded.engine, longform=LongformOptions(chunk_seconds=3))
    heard = aligner.hear(waveform, source_rate=SAMPLE_RATE, keep_waveform=True)
    assert heard.waveform is not None
    np.testing.assert_array_equal(heard.waveform, waveform)
    assert len(heard.logits) == frame_lengths(embedded.engine.config, len(waveform))
    found = aligner.align_heard(heard, aligner.spell("\n".join(map(str, digits))))
    assert len(found.lines) == len(digits)
    inside = [
        start - FRAME <= (word.start + word.end) / 2 <= end
        for word, (start, end) in zip(found.words or (), times, strict=True)
    ]
    assert np.mean(inside) > 0.95
