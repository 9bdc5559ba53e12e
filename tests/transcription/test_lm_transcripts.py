"""The transcriber searches with the processor's language model, piece by piece, and says when the words were said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.language.arpa_files import random_ngrams, write_arpa
from tests.transcription.conftest import VOCABULARY
from tests.transcription.streams import CONFIG, FIELD, HOP, HearingEngine
from tfwav2vec2 import (
    EngineTranscriber,
    Transcriber,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
    Wav2Vec2ProcessorWithLM,
    build_ctcdecoder,
)
from tfwav2vec2.transcription.longform import LongformOptions

RATE = 16_000
FRAME = HOP / RATE
WORDS = ["A", "BAD", "CAB", "BED"]


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ngrams = random_ngrams(WORDS, 2, np.random.default_rng(0))
    return write_arpa(tmp_path_factory.mktemp("lm") / "2gram.arpa", ngrams)


@pytest.fixture(scope="module")
def processor(arpa: Path, tmp_path_factory: pytest.TempPathFactory) -> Wav2Vec2ProcessorWithLM:
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: index for index, symbol in enumerate(VOCABULARY)}))
    return Wav2Vec2ProcessorWithLM(
        Wav2Vec2FeatureExtractor(),
        Wav2Vec2CTCTokenizer(vocabulary),
        build_ctcdecoder(VOCABULARY, arpa),
    )


class LevelEngine(HearingEngine):
    """Hears a label in the loudness of each frame: silence is the blank. ``B`` and ``E`` are hard to tell apart."""

    def __init__(self) -> None:
        super().__init__(self._labels)

    @staticmethod
    def _labels(first: np.ndarray) -> np.ndarray:
        ids = np.rint(first * 10).astype(int)
        logits = 6 * np.eye(CONFIG.vocab_size, dtype=np.float32)[ids]
        logits[ids == VOCABULARY.index("E"), VOCABULARY.index("A")] += 5.5
        return logits


def spell(text: str) -> np.ndarray:
    """Samples in which :class:`LevelEngine` hears a text, each label for two frames; a space is silence of 0.4 s."""
    frames: list[int] = []
    for letter in text:
        if letter == "_":
            frames += [0] * round(0.4 / FRAME)
        else:
            label = VOCABULARY.index("|" if letter == " " else letter)
            frames += [label, label, 0]
    signs = np.tile([1.0, -1.0], HOP // 2)  # no constant part
    return (np.repeat(frames, HOP) / 10 * np.tile(signs, len(frames))).astype(np.float32)


def transcribe(processor: object, text: str, longform: LongformOptions | None = None, **options: object):
    samples = np.concatenate([spell(text), np.zeros(FIELD, np.float32)])
    engine = LevelEngine()
    found = next(
        EngineTranscriber(engine, processor=processor, longform=longform).transcribe(
            samples, source_rate=RATE, **options
        )
    )
    return found, engine


def test_the_language_model_decides(processor: Wav2Vec2ProcessorWithLM) -> None:
    greedy = Wav2Vec2Processor(processor.feature_extractor, processor.tokenizer)
    assert transcribe(greedy, "CEB A", words=True)[0].text == "CEB A"
    assert transcribe(processor, "CEB A")[0].text == "CAB A"


def test_words_have_the_times_of_the_search(processor: Wav2Vec2ProcessorWithLM) -> None:
    found, _ = transcribe(processor, "CEB A", words=True)
    assert [word.text for word in found.words] == ["CAB", "A"]
    # Letters last three frames, the last of them blank.
    assert [word.start for word in found.words] == pytest.approx([0, 12 * FRAME], abs=FRAME)
    assert [word.end for word in found.words] == pytest.approx([8 * FRAME, 14 * FRAME], abs=2 * FRAME)
    sure, certain = (word.confidence for word in found.words)
    assert 0 < sure < certain < 1  # an E was rather heard


@pytest.mark.parametrize("cut", ["silence", "stride"])
def test_long_recordings_are_searched_in_stretches_between_pauses(
    processor: Wav2Vec2ProcessorWithLM, cut: str
) -> None:
    text = "_".join(["CEB A", "BAD", "A CEB", "CAB BAD"] * 6)
    chosen = LongformOptions(0.5) if cut == "silence" else LongformOptions(100 * FRAME, 20 * FRAME, cut)
    found, engine = transcribe(processor, text.replace("_", " _ "), chosen, words=True)
    assert len(engine.heard) > 5
    expected = text.replace("_", " ").replace("CEB", "CAB")
    assert found.text == expected
    assert [word.text for word in found.words] == expected.split()
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)
    whole, _ = transcribe(processor, text.replace("_", " _ "), LongformOptions(99.0), words=True)
    assert whole.text == found.text
    assert [word.start for word in whole.words] == pytest.approx(starts, abs=2 * FRAME)


def test_options_reach_the_search(processor: Wav2Vec2ProcessorWithLM) -> None:
    plain, _ = transcribe(processor, "CEB A", alpha=0.0, beta=0.0, unk_score_offset=0.0)
    assert plain.text == "CEB A"
    hot, _ = transcribe(processor, "CEB A", hotwords=iter(["CEB"]), hotword_weight=20.0)
    assert hot.text == "CEB A"
    processor.decoder.reset_params(alpha=0.5, beta=1.5, unk_score_offset=-10.0)
    assert transcribe(processor, "CEB A", beam_width=10)[0].text == "CAB A"
    with pytest.raises(TypeError, match="transcribe has no options beam_wdith"):
        transcribe(processor, "A", beam_wdith=3)
    greedy = Wav2Vec2Processor(processor.feature_extractor, processor.tokenizer)
    with pytest.raises(ValueError, match="beam_width: these are for a search with a language model"):
        transcribe(greedy, "A", beam_width=3)


def test_a_batch_is_searched_as_single_recordings_are(processor: Wav2Vec2ProcessorWithLM) -> None:
    clips = [
        np.concatenate([spell(text), np.zeros(FIELD, np.float32)]) for text in ["CEB A", "BAD", "BED A"] * 5
    ]
    transcriber = EngineTranscriber(LevelEngine(), processor=processor)
    found = [heard.text for heard in transcriber.transcribe(clips, source_rate=RATE)]
    assert found == ["CAB A", "BAD", "BED A"] * 5
    unordered = transcriber.transcribe(clips, source_rate=RATE, ordered=False)
    assert sorted(heard.text for heard in unordered) == sorted(found)


def test_from_pretrained_opens_the_language_model_that_lies_there(
    tiny_folder: Path, arpa: Path, tmp_path: Path, recordings: Path
) -> None:
    import shutil

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    plain = Wav2Vec2Processor.from_pretrained(folder)
    assert not isinstance(Transcriber.from_pretrained(folder).processor, Wav2Vec2ProcessorWithLM)
    Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(VOCABULARY, arpa)
    ).save_pretrained(folder)
    searching = Transcriber.from_pretrained(folder)
    assert isinstance(searching.processor, Wav2Vec2ProcessorWithLM)
    path = recordings / "a.wav"
    answer = searching.engine(*_one(path))
    expected = searching.processor.decode(answer["logits"][0]).text
    assert next(searching.transcribe(path)).text == expected
    without = Transcriber.from_pretrained(folder, language_model=False)
    assert not isinstance(without.processor, Wav2Vec2ProcessorWithLM)
    assert next(without.transcribe(path)).text != expected
    with pytest.raises(FileNotFoundError, match=r"alphabet\.json"):
        Transcriber.from_pretrained(tiny_folder, language_model=True)


def _one(path: Path) -> tuple[np.ndarray, list[int]]:
    from tfwav2vec2 import load_audio

    samples = load_audio(path)
    return samples[None], [len(samples)]
