"""How a model does on labelled recordings, one by one, by speaker and in all, and what it takes for what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.frame_targets import FrameClasses
from tfwav2vec2.data.targets import UnusableTargetError, class_index
from tfwav2vec2.language.transcripts import in_letters_of
from tfwav2vec2.metrics.error_rates import ErrorRate, character_error_rate, word_error_rate
from tfwav2vec2.metrics.verification import equal_error_rate
from tfwav2vec2.transcription.transcriber import Transcriber


@dataclass(frozen=True)
class Answer:
    """What was said in a clip, or which class it is of, and what the model found."""

    id: str
    speaker: str | None
    said: str
    found: str


@dataclass(frozen=True)
class Failure:
    """A clip that could not be evaluated, and why."""

    id: str
    reason: str


@dataclass
class SpeechReport:
    """How a recogniser did.

    Attributes:
        answers: one for each clip that could be read.
        failures: those that could not.
        words: all errors in words.
        characters: all errors in characters.
        by_speaker: the errors in words of each speaker that is named.
    """

    answers: list[Answer] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    words: ErrorRate = field(default_factory=ErrorRate)
    characters: ErrorRate = field(default_factory=ErrorRate)
    by_speaker: dict[str, ErrorRate] = field(default_factory=dict)


@dataclass
class ClassReport:
    """How a classifier of clips or of frames did.

    Attributes:
        classes: the names of the classes.
        counted: what has a class, ``"clips"`` or ``"frames"``.
        answers: one for each clip that could be read; where frames have classes, as ``start-end class`` in seconds.
        failures: those that could not, or whose class the model does not have.
        confusion: (classes, classes) how often clips or frames of a class (row) were taken for another (column).
        by_speaker: right answers and all answers of each speaker that is named.
        equal_error_rate: of telling voices apart by embeddings, over all pairs of clips; None for classifiers of other
            things, and where there is no pair of each kind.
    """

    classes: list[str]
    counted: str = "clips"
    answers: list[Answer] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    by_speaker: dict[str, tuple[int, int]] = field(default_factory=dict)
    equal_error_rate: float | None = None
    confusion: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((len(self.classes), len(self.classes)), np.int64)

    @property
    def accuracy(self) -> float:
        """The share of right answers; NaN where there are none."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    def count(self, speaker: str | None, said: np.ndarray, found: np.ndarray) -> None:
        """Add a clip's answers, indices of classes."""
        np.add.at(self.confusion, (said, found), 1)
        if speaker is not None:
            right, total = self.by_speaker.get(speaker, (0, 0))
            self.by_speaker[speaker] = right + int(np.sum(said == found)), total + np.size(said)


def evaluate_transcripts(
    transcriber: Transcriber, examples: Iterable[Example], progress: Any = iter
) -> SpeechReport:
    """What a recogniser writes, beside the transcripts.

    Transcripts are brought to the vocabulary's letters (:func:`~tfwav2vec2.language.transcripts.in_letters_of`); what the
    vocabulary lacks counts as an error, since it cannot be found.

    Args:
        transcriber: a model with its processor.
        examples: with texts as targets.
        progress: wraps the iterator of clips, to show how far it is.
    """
    letters = frozenset(transcriber.processor.tokenizer.get_vocab())
    report = SpeechReport()
    for example, waveform in _clips(
        progress(examples), transcriber.processor.feature_extractor, report.failures
    ):
        if not isinstance(example.target, str):
            report.failures.append(Failure(example.id, f"its target is {example.target!r}, not a text"))
            continue
        (transcript,) = transcriber.transcribe(
            waveform, source_rate=transcriber.processor.feature_extractor.sampling_rate, errors="return"
        )
        if transcript.error is not None:
            report.failures.append(Failure(example.id, transcript.error))
            continue
        said = in_letters_of(example.target, letters)
        report.answers.append(Answer(example.id, example.speaker, said, transcript.text))
        words = word_error_rate(said, transcript.text)
        report.words += words
        report.characters += character_error_rate(said, transcript.text)
        if example.speaker is not None:
            report.by_speaker[example.speaker] = report.by_speaker.get(example.speaker, ErrorRate()) + words
    return report


def evaluate_classes(
    model: Any, extractor: Any, examples: Iterable[Example], progress: Any = iter
) -> ClassReport:
    """What class a model gives to each clip, beside the clip's own; for a model of voices also how well it tells them apart.

    Args:
        model: a :class:`~tfwav2vec2.TFWav2Vec2ForSequenceClassification` or :class:`~tfwav2vec2.TFWav2Vec2ForXVector`.
        extractor: its feature extractor.
        examples: with names or indices of classes as targets, or with speakers for a model of voices.
        progress: wraps the iterator of clips, to show how far it is.
    """
    config = model.config
    names = _class_names(config)
    report = ClassReport(names)
    embeddings, voices = [], []
    for example, waveform in _clips(progress(examples), extractor, report.failures):
        try:
            output = _run(model, extractor, waveform)
        except ValueError as error:
            report.failures.append(Failure(example.id, str(error)))
            continue
        label = example.target if example.target is not None else example.speaker
        if "embeddings" in output:
            embeddings.append(np.asarray(output["embeddings"])[0])
            voices.append(str(label))
        try:
            said = class_index(label, config)
        except UnusableTargetError as error:
            report.failures.append(Failure(example.id, str(error)))
            continue
        found = int(np.argmax(np.asarray(_class_scores(output))[0]))
        report.count(example.speaker, np.asarray(said), np.asarray(found))
        report.answers.append(Answer(example.id, example.speaker, names[said], names[found]))
    if embeddings:
        report.equal_error_rate = _verification(np.stack(embeddings), voices)
    return report


def evaluate_frames(
    model: Any,
    extractor: Any,
    examples: Iterable[Example],
    background: str | None = None,
    progress: Any = iter,
) -> ClassReport:
    """What class a model gives to each frame, beside the frame's own.

    Where several classes hold in a frame, as when two speakers talk at once, any of them is right; a frame in which none
    holds does not count (as in :class:`~tfwav2vec2.metrics.head_metrics.FrameAccuracy`).

    Args:
        model: a :class:`~tfwav2vec2.TFWav2Vec2ForAudioFrameClassification`.
        extractor: its feature extractor.
        examples: with intervals ``[(start, end, class), ...]`` in seconds or arrays (frames, classes) as targets.
        background: the class of frames in no interval; None for none.
        progress: wraps the iterator of clips, to show how far it is.
    """
    names = _class_names(model.config)
    report = ClassReport(names, counted="frames")
    targets = FrameClasses(model.config, extractor.sampling_rate, background)
    seconds = model.config.inputs_to_logits_ratio / extractor.sampling_rate
    for example, waveform in _clips(progress(examples), extractor, report.failures):
        try:
            target = targets.encode(example)
            logits = np.asarray(_run(model, extractor, waveform)["logits"])[0]
        except ValueError as error:
            report.failures.append(Failure(example.id, str(error)))
            continue
        marked = targets.batch([target], [len(waveform)], [1.0], len(waveform), 0)[0] > 0
        found = np.argmax(logits, axis=-1)
        right = np.take_along_axis(marked, found[:, None], axis=-1)[:, 0]
        said = np.where(right, found, np.argmax(marked, axis=-1))
        counts = marked.any(axis=-1)
        report.count(example.speaker, said[counts], found[counts])
        report.answers.append(
            Answer(
                example.id,
                example.speaker,
                _stretches(np.where(counts, said, -1), names, seconds),
                _stretches(found, names, seconds),
            )
        )
    return report


def _class_names(config: Wav2Vec2Config) -> list[str]:
    return [config.id2label[index] for index in range(config.num_labels)]


def _stretches(classes: np.ndarray, names: Sequence[str], seconds: float) -> str:
    """Frames' classes as ``0.00-0.52 speech, 0.52-0.80 noise``; what is negative is left out."""
    cuts = [0, *(np.flatnonzero(np.diff(classes)) + 1), len(classes)]
    return ", ".join(
        f"{start * seconds:.2f}-{end * seconds:.2f} {names[classes[start]]}"
        for start, end in pairwise(cuts)
        if start < end and classes[start] >= 0
    )


def _clips(
    examples: Iterable[Example], extractor: Any, failures: list[Failure]
) -> Iterator[tuple[Example, np.ndarray]]:
    for example in examples:
        try:
            waveform = read_clip(example, extractor.sampling_rate)
        except (OSError, ValueError, TypeError) as error:
            failures.append(Failure(example.id, str(error)))
            continue
        yield example, waveform


def _run(model: Any, extractor: Any, waveform: np.ndarray) -> Any:
    features = extractor(
        waveform, sampling_rate=extractor.sampling_rate, return_attention_mask=True, return_tensors="np"
    )
    return model(features["input_values"], attention_mask=features["attention_mask"])


def _class_scores(output: Any) -> Any:
    """(batch, classes). What a model of voices calls logits, as in the reference, are not scores of speakers."""
    return output["speaker_scores"] if "speaker_scores" in output else output["logits"]


def _verification(embeddings: np.ndarray, voices: Sequence[str]) -> float | None:
    """The equal error rate of cosines over all pairs of clips."""
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(voices), k=1)
    labels = np.asarray(voices)
    same = labels[first] == labels[second]
    if same.all() or not same.any():
        return None
    return equal_error_rate((directions @ directions.T)[first, second], same)
