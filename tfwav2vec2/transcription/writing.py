"""From the logits of a recording, as they come, to its text and its words: along the best path, or by a beam search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import numpy as np

from tfwav2vec2.language.greedy import best_probability
from tfwav2vec2.transcription.longform import LogitBlock
from tfwav2vec2.transcription.stream_text import StreamedDecoder
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

# What a decoder keeps for later searches too; the rest of the options is for one search.
_WEIGHTS = ("alpha", "beta", "unk_score_offset", "lm_score_boundary")
_SEARCH = (
    "beam_width",
    "beam_prune_logp",
    "token_min_logp",
    "hotwords",
    "hotword_weight",
    "lexicon_bound",
)


class Written(NamedTuple):
    """A recording's text, and its words where they were asked for."""

    text: str
    words: tuple[TimedWord, ...] | None


class BestPath:
    """The likeliest label of each frame, collapsed: what the tokenizer's ``decode`` gives of all frames together.

    A label and a probability of each frame are kept, some megabytes for many hours.

    Args:
        tokenizer: turns ids into text.
        frame_seconds: how long a frame lasts.
        words: whether words are asked for.
    """

    def __init__(self, tokenizer: Any, frame_seconds: float, words: bool) -> None:
        self._tokenizer, self._frame, self._words = tokenizer, frame_seconds, words
        self._ids: list[np.ndarray] = []
        self._sure: list[np.ndarray] = []

    def add(self, block: LogitBlock) -> None:
        """Take the next frames."""
        ids = block.logits.argmax(-1)
        self._ids.append(ids.astype(np.int32))
        if self._words:
            self._sure.append(best_probability(block.logits))

    def finish(self) -> Written:
        """The text of all frames."""
        ids = np.concatenate(self._ids)
        text = self._tokenizer.decode(ids)
        if not self._words:
            return Written(text, None)
        sure, blank = np.concatenate(self._sure), self._tokenizer.pad_token_id
        timed = StreamedDecoder(self._tokenizer, 1, 1).push(ids, last=True)  # in frames
        characters = iter(timed.characters)
        words = []
        for word in timed.words:
            frames = slice(round(word.start), round(word.end))
            writes = ids[frames] != blank
            words.append(
                TimedWord(
                    word.text,
                    word.start * self._frame,
                    word.end * self._frame,
                    float(sure[frames][writes].mean()),
                    tuple(
                        TimedCharacter(each.char, each.start * self._frame, each.end * self._frame)
                        for each in _within(characters, word)
                    ),
                )
            )
        return Written(text, tuple(words))


def _within(characters: Iterator[TimedCharacter], word: TimedWord) -> Iterator[TimedCharacter]:
    """A word's characters, from those that are left: the spaces before it are passed over."""
    for character in characters:
        if character.start < word.start:
            continue
        yield character
        if character.end >= word.end:
            return


class BeamSearch:
    """A beam search with a language model, of each stretch between two cuts in pauses as soon as it is complete.

    Such a stretch is searched as a recording of its own would be, with a sentence's begin and end; a recording that is cut with
    context everywhere is one stretch, and its logits are kept till its end, 23 MB an hour with 32 labels.

    Args:
        processor: a :class:`~tfwav2vec2.Wav2Vec2ProcessorWithLM`.
        frame_seconds: how long a frame lasts.
        words: whether words are asked for.
        executor: searches in its threads, while the model goes on.
        options: arguments of the decoder's ``decode_beams``.
    """

    def __init__(
        self,
        processor: Any,
        frame_seconds: float,
        words: bool,
        executor: Executor,
        options: Mapping[str, Any],
    ) -> None:
        self._processor, self._frame, self._words = processor, frame_seconds, words
        self._executor, self._options = executor, options
        self._stretch: list[LogitBlock] = []
        self._found: list[Future[Written]] = []

    def add(self, block: LogitBlock) -> None:
        """Take the next frames."""
        self._stretch.append(block)
        if block.to_pause:
            self._submit()

    def _submit(self) -> None:
        stretch, self._stretch = self._stretch, []
        self._found.append(self._executor.submit(self._search, stretch))

    def _search(self, stretch: list[LogitBlock]) -> Written:
        logits = np.concatenate([block.logits for block in stretch])
        beam = self._processor.decoder.decode_beams(logits, **self._options, n_best=1)[0]
        if not self._words:
            return Written(beam.text, None)
        words = []
        for text, (start, end) in beam.word_frames:
            begin, stop = (stretch[0].start + frame for frame in (start, end))
            sure = self._confidence(logits[start:end], text)
            words.append(TimedWord(text, begin * self._frame, stop * self._frame, sure))
        return Written(beam.text, tuple(words))

    def _confidence(self, logits: np.ndarray, word: str) -> float:
        """The mean probability of the word's letters, in the frames that write something, or in all where none does."""
        tokenizer = self._processor.tokenizer
        encoder = tokenizer.encoder
        spelling = word.upper() if tokenizer.do_lower_case else word
        letters = sorted({encoder[letter] for letter in spelling if letter in encoder})
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        writes = logits.argmax(-1) != tokenizer.pad_token_id
        counted = shares[writes] if writes.any() else shares
        best = counted[:, letters] if letters else counted
        return float(best.max(-1).mean()) if best.size else 0.0

    def finish(self) -> Searched:
        """The text of all frames, which may still be searched for."""
        if self._stretch:
            self._submit()
        return Searched(self._found, self._words)


class Searched:
    """What searches in threads find: the stretches of a recording, one behind the other."""

    def __init__(self, parts: list[Future[Written]], words: bool) -> None:
        self._parts, self._words = parts, words

    def done(self) -> bool:
        """Whether all are there."""
        return all(part.done() for part in self._parts)

    def result(self) -> Written:
        """The text; waits for it."""
        parts = [part.result() for part in self._parts]
        text = " ".join(part.text for part in parts if part.text)
        words = tuple(word for part in parts for word in part.words or ())
        return Written(text, words if self._words else None)


def decoding_options(processor: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a search, checked; the language model's weights are set.

    Args:
        processor: what belongs to the model.
        options: of :meth:`~tfwav2vec2.Wav2Vec2ProcessorWithLM.decode`, without those of what it returns.

    Raises:
        TypeError: for an option that the search does not have.
        ValueError: where there is nothing to search with.
    """
    unknown = sorted(options.keys() - {*_WEIGHTS, *_SEARCH})
    if unknown:
        raise TypeError(
            f"transcribe has no options {', '.join(unknown)}; those of a search are {', '.join((*_SEARCH, *_WEIGHTS))}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    decoder = getattr(processor, "decoder", None)
    if decoder is None:
        if given:
            raise ValueError(
                f"{', '.join(sorted(given))}: these are for a search with a language model, and there is none; open a model that "
                "has one, or leave them out"
            )
        return {}
    decoder.reset_params(**{name: given[name] for name in _WEIGHTS if name in given})
    if "hotwords" in given:
        given["hotwords"] = list(given["hotwords"])
    return {name: given[name] for name in _SEARCH if name in given}
