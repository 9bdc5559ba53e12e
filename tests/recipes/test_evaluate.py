from __future__ import annotations

import numpy as np
from click.testing import CliRunner

from recipes.spoken_digits import evaluate
from recipes.spoken_digits.evaluate import measure, report, total
from recipes.spoken_digits.strings import DigitString
from recipes.spoken_digits.word_errors import WordErrors
from tfwav2vec2.transcription.transcript import Transcript


class Echo:
    """Finds in a waveform the words that its values spell, but never hears an EIGHT."""

    def transcribe(self, sources, *, source_rate):
        for samples in sources:
            words = [evaluate_words[int(value)] for value in samples if value >= 0]
            yield Transcript("<array>", " ".join(word for word in words if word != "EIGHT"), 1.0)


evaluate_words = ("ONE", "EIGHT", "SIX")


def string(*values: int) -> DigitString:
    # Some silence after it, so that the order by length is not the order given.
    samples = np.array([*values, *[-1] * (9 - 2 * len(values))], np.float32)
    return DigitString(samples, tuple(evaluate_words[value] for value in values), ())


def test_each_transcript_is_compared_with_its_own_string():
    by_length = measure(Echo(), [string(0), string(1), string(2, 1, 0), string(0, 2), string(0, 0)])
    assert by_length == {
        1: WordErrors(2, 0, 1, 0, 2, 1),
        2: WordErrors(4, 0, 0, 0, 2, 2),
        3: WordErrors(3, 0, 1, 0, 1, 0),
    }
    assert total(by_length) == WordErrors(9, 0, 2, 0, 5, 3)


def test_the_report_shows_every_length_and_the_total():
    lines = report("Heard", {1: WordErrors(4, 1, 0, 0, 4, 3), 2: WordErrors(8, 0, 0, 1, 4, 3)}).splitlines()
    assert lines[0] == "Heard"
    assert lines[2].split() == ["1", "25.00%", "4", "1", "0", "0", "4", "75.0%"]
    assert lines[4].split() == ["all", "16.67%", "12", "1", "0", "1", "8", "75.0%"]


def test_the_folder_of_recordings_must_be_named():
    result = CliRunner().invoke(evaluate.main, [])
    assert result.exit_code == 2
    assert "--data" in result.output
