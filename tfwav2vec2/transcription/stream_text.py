"""Frames to text as they come: the best CTC path collapsed, with what is still open carried along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfwav2vec2.language.offsets import Run, runs
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

# A word without an end is given out in pieces of so many characters: memory stays bounded.
LONGEST_WORD = 100


@dataclass(frozen=True)
class StreamedText:
    """What has become certain since the last call. Nothing of it is ever taken back.

    Attributes:
        new: text to append: all of them, one behind the other, are the transcript.
        words: the words that were completed; one of more than a hundred characters, as a model writes that knows no spaces,
            comes in pieces.
        partial: the word under way, as far as it is known; empty where there is none.
        characters: the characters that ended, those between words included. A character's text is in ``new`` as soon as it
            begins, so that it may come one call earlier there.
        seconds: how much of the stream has its final labels, from the start.
    """

    new: str = ""
    words: tuple[TimedWord, ...] = ()
    partial: str = ""
    characters: tuple[TimedCharacter, ...] = ()
    seconds: float = 0.0


class StreamedDecoder:
    """Collapses frames as :meth:`Wav2Vec2CTCTokenizer.decode` does, however they are split.

    Args:
        tokenizer: turns ids into characters. Two things that it does to whole transcripts alone are left out: its clean-up of
            spaces before punctuation (off by default), and a small letter that depends on what follows (Greek sigma).
        hop: samples from one frame to the next.
        sampling_rate: of the samples, in Hz.

    What is carried along: the token under way with its first frame, the word under way, and spaces that wait for a word behind
    them.
    """

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer, hop: int, sampling_rate: int) -> None:
        self.tokenizer = tokenizer
        self.hop, self.sampling_rate = hop, sampling_rate
        self.reset()

    def reset(self) -> None:
        """Begin with frame 0."""
        self._frames = 0
        self._open: Run | None = None
        self._word: list[Run] = []
        self._spaces = ""
        self._begun = False

    def push(self, ids: Sequence[int] | np.ndarray, *, last: bool = False) -> StreamedText:
        """Collapse the frames that follow those before.

        Args:
            ids: the likeliest label of each frame.
            last: whether the stream ends with them: what is open then is completed.

        Raises:
            ValueError: for an id that the vocabulary lacks, where it has no unknown token either.
        """
        tokens = self.tokenizer.convert_ids_to_tokens(np.asarray(ids, int).tolist())
        if None in tokens:
            raise ValueError(
                "Some ids are not in the vocabulary, and there is no unk_token to stand for them; check that the tokenizer "
                "belongs to the model"
            )
        new, words, ended = [], [], []
        for token, start, end in runs(tokens):
            run = Run(token, self._frames + start, self._frames + end)
            if self._open is not None and self._open.token == token:
                self._open = run._replace(start=self._open.start)
                continue
            ended += self._end_open()
            self._open = run
            if self._is_text(run):
                new.append(self._append(self._text(run)))
            if self._is_delimiter(run) or len(self._word) == LONGEST_WORD:
                words += self._end_word()
        self._frames += len(tokens)
        if last:
            ended += self._end_open()
            words += self._end_word()
        return StreamedText(
            new="".join(new),
            words=tuple(words),
            partial=self._partial(),
            characters=tuple(TimedCharacter(self._text(run), *self._times(run, run)) for run in ended),
            seconds=self._seconds(self._frames),
        )

    def _end_open(self) -> list[Run]:
        """The character under way, which ends here: one or none."""
        run, self._open = self._open, None
        if run is None or not self._is_text(run):
            return []
        if not self._is_delimiter(run):
            self._word.append(run)
        return [run]

    def _end_word(self) -> list[TimedWord]:
        """The word under way, which ends here: one or none."""
        word, self._word = self._word, []
        if not word:
            return []
        return [TimedWord("".join(map(self._text, word)), *self._times(word[0], word[-1]))]

    def _partial(self) -> str:
        run = self._open
        begun = [run] if run is not None and self._is_text(run) and not self._is_delimiter(run) else []
        return "".join(map(self._text, [*self._word, *begun]))

    def _append(self, text: str) -> str:
        """What a character adds to the transcript: spaces at its ends count for nothing, so they wait for what follows."""
        text = self._spaces + text
        kept = text.rstrip()
        self._spaces = text[len(kept) :] if self._begun or kept else ""
        kept = kept if self._begun else kept.lstrip()
        self._begun = self._begun or bool(kept)
        return kept

    def _is_text(self, run: Run) -> bool:
        return run.token != self.tokenizer.pad_token

    def _is_delimiter(self, run: Run) -> bool:
        return self._is_text(run) and self._text(run) == self.tokenizer.replace_word_delimiter_char

    def _text(self, run: Run) -> str:
        if run.token == self.tokenizer.word_delimiter_token:
            return self.tokenizer.replace_word_delimiter_char
        return run.token.lower() if self.tokenizer.do_lower_case else run.token

    def _times(self, first: Run, last: Run) -> tuple[float, float]:
        return self._seconds(first.start), self._seconds(last.end)

    def _seconds(self, frame: int) -> float:
        return frame * self.hop / self.sampling_rate
