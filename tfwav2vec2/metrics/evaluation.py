"""How a model does on labelled recordings, one by one, by speaker and in all, and what it takes for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.examples import Example
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
    """How a classifier did.

    Attributes:
        classes: the names of the classes.
        answers: one for each clip that could be read.
        failures: those that could not, or whose class the model does not have.
        confusion: (classes, classes) how often clips of a class (row) were taken for another (column).
        equal_error_rate: of telling voices apart by embeddings, over all pairs of clips; None for classifiers of other
            things, and where there is no pair of each kind.
    """

    classes: list[str]
    answers: list[Answer] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    equal_error_rate: float | None = None

    @property
    def accuracy(self) -> float:
        """The share of right answers; NaN where there are none."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def by_speaker(self) -> dict[str, tuple[int, int]]:
        """Right answers and all answers of each speaker that is named."""
        counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for answer in self.answers:
            if answer.speaker is not None:
                right, total = counts[answer.speaker]
                counts[answer.speaker] = right + (answer.said == answer.found), total + 1
        return dict(counts)


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
    names = [config.id2label[index] for index in range(config.num_labels)]
    report = ClassReport(names, confusion=np.zeros((len(names), len(names)), np.int64))
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
        report.confusion[said, found] += 1
        report.answers.append(Answer(example.id, example.speaker, names[said], names[found]))
    if embeddings:
        report.equal_error_rate = _verification(np.stack(embeddings), voices)
    return report


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
