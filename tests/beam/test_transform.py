"""The transform in a pipeline of one's own, on Apache Beam's in-memory runner."""

import csv
import functools
import subprocess
import sys
import textwrap
from typing import ClassVar

import pytest
import soundfile

from tests.beam.ear import RATE, Ear, text_of, tone, write_tones
from tests.conftest import REPOSITORY
from tfwav2vec2 import Example

beam = pytest.importorskip("apache_beam", reason="needs the extra beam: pip install 'tfwav2vec2[beam]'")

from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # noqa: E402
from apache_beam.testing.util import assert_that, equal_to  # noqa: E402

from tfwav2vec2.beam import Transcribe, TranscriptionModelHandler  # noqa: E402
from tfwav2vec2.beam.model_handler import METRICS  # noqa: E402
from tfwav2vec2.serving.engines import LiteRTEngine  # noqa: E402

CLIPS = REPOSITORY / "demo" / "clips"


class PickyEar(Ear):
    """Fails where a batch holds tone 5, and counts the ears that were opened."""

    opened: ClassVar[list[int]] = []

    def __init__(self):
        super().__init__()
        self.opened.append(1)

    def before_answering(self, texts):
        if text_of(5) in texts:
            raise ValueError("not this one")


class CountingEar(Ear):
    """Keeps how many recordings came together."""

    rows: ClassVar[list[int]] = []

    def before_answering(self, texts):
        self.rows.append(len(texts))


def run(sources, transform, check):
    pipeline = beam.Pipeline(runner=FnApiRunner())
    results, failures = pipeline | beam.Create(sources) | transform
    assert_that(results | beam.MapTuple(lambda key, heard: (key, heard.text)), equal_to(check[0]))
    assert_that(failures, equal_to(check[1]), label="failures")
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(METRICS))["counters"]
    return {counter.key.metric.name: counter.committed for counter in counters}


def test_results_and_failures_keep_their_keys(tmp_path):
    PickyEar.opened.clear()
    texts = write_tones(tmp_path, range(12))
    bad = next(name for name, text in texts.items() if text == text_of(5))
    sources = [(name, str(tmp_path / name)) for name in texts] + [("gone", str(tmp_path / "gone.wav"))]
    gone = f"{tmp_path / 'gone.wav'} does not exist: check the path"
    counts = run(
        sources,
        Transcribe(PickyEar, batch_seconds=2.0),
        (
            [(name, text) for name, text in texts.items() if name != bad],
            [(bad, f"{tmp_path / bad}: not this one"), ("gone", gone)],
        ),
    )
    assert len(PickyEar.opened) == 1
    assert (counts["clips"], counts["failures"]) == (11, 2)
    assert counts["retries"] >= 1
    assert counts["milliseconds"] > 11 * 200
    assert counts["padded_samples"] > counts["samples"] > 0
    # Of Beam itself: an inference each, failed or not.
    assert counts["num_inferences"] == 13


def test_bytes_arrays_and_parts(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(3, 1.0), RATE)
    sources = [
        (0, path.read_bytes()),
        (1, Example("array", tone(4), sampling_rate=RATE)),
        (2, Example("part", path, start=0.5)),
        (3, Example("hollow", tone(4)[:100], sampling_rate=RATE)),
    ]
    expected = [(0, text_of(3)), (1, text_of(4)), (2, text_of(3))]
    short = "hollow lasts 0.0063 s, less than one frame of the model: give a longer recording"
    run(sources, Transcribe(Ear), (expected, [(3, short)]))


def test_recordings_are_sorted_by_length_within_what_comes_together(tmp_path):
    texts = write_tones(tmp_path, range(8))
    sources = [(name, str(tmp_path / name)) for name in texts]
    for together, most in ((1, 1), (4, 4), (64, 8)):
        CountingEar.rows.clear()
        transform = Transcribe(CountingEar, batch_seconds=60.0, recordings_together=together)
        run(sources, transform, (list(texts.items()), []))
        assert max(CountingEar.rows) == most


def test_the_embedded_model_and_its_file_hear_the_demo():
    """Each in one pipeline, as users have it; the file without TensorFlow."""
    with (CLIPS / "manifest.tsv").open(encoding="utf-8") as file:
        texts = {row["file"]: row["text"] for row in csv.DictReader(file, delimiter="\t")}
    sources = [(name, str(CLIPS / name)) for name in texts]
    lite = next((REPOSITORY / "saved_models" / "spoken-digits").glob("*.tflite"))
    for model in (None, lite):
        counts = run(sources, Transcribe(model, batch_seconds=8.0), (list(texts.items()), []))
        assert counts["clips"] == len(texts)


def test_the_example_of_the_documentation_runs(tmp_path):
    write_tones(tmp_path, [0, 3])
    (tmp_path / "bad.wav").write_text("no audio")
    code = textwrap.dedent(Transcribe.__doc__.partition("Example::")[2])
    for there, here in (
        ("beam.Pipeline()", "beam.Pipeline(runner=FnApiRunner())"),
        ("calls/*.wav", f"{tmp_path}/*.wav"),
        ('"facebook/wav2vec2-base-960h"', "Ear"),
        ('"transcripts"', repr(str(tmp_path / "transcripts"))),
        ('"failures"', repr(str(tmp_path / "failures"))),
    ):
        assert there in code
        code = code.replace(there, here)
    exec(code, {"Ear": Ear, "FnApiRunner": FnApiRunner})
    (transcripts,) = tmp_path.glob("transcripts-*.tsv")
    (failures,) = tmp_path.glob("failures-*.tsv")
    expected = [f"{tmp_path / f'{number:03d}.wav'}\t{text_of(number)}" for number in (0, 3)]
    assert sorted(transcripts.read_text().splitlines()) == expected
    assert failures.read_text().startswith(f"{tmp_path / 'bad.wav'}\t")


def test_a_handler_has_its_own_options():
    handler = TranscriptionModelHandler(Ear, batch_seconds=3.0, threads=2)
    with pytest.raises(ValueError, match="threads belong to the handler"):
        Transcribe(handler, threads=1)
    with pytest.raises(ValueError, match="batch_seconds must be a positive"):
        Transcribe(Ear, batch_seconds=0)
    run([(1, Example("a", tone(2), sampling_rate=RATE))], Transcribe(handler), ([(1, text_of(2))], []))


def test_threads_reach_what_computes(spoken_digits, monkeypatch):
    lite = next(spoken_digits.glob("*.tflite"))
    given = {}

    def remember(self, path, *, threads=None):
        given.update(path=path, threads=threads)
        raise OSError("enough")

    monkeypatch.setattr(LiteRTEngine, "__init__", remember)
    handler = TranscriptionModelHandler(lite, threads=3)
    with pytest.raises(OSError, match="enough"):
        handler.load_model()
    assert given == {"path": lite, "threads": 3}
    assert handler._env_vars == {"TF_NUM_INTRAOP_THREADS": "3", "TF_NUM_INTEROP_THREADS": "3"}
    assert TranscriptionModelHandler(lite)._env_vars == {}


def test_what_is_wrong_with_the_model_stops_the_pipeline(spoken_digits, tmp_path):
    lite = next(spoken_digits.glob("*.tflite"))
    with pytest.raises(ValueError, match="whose language is fixed"):
        TranscriptionModelHandler(lite, language="fra").load_model()
    with pytest.raises(OSError, match=r"config\.json"):
        TranscriptionModelHandler(tmp_path).load_model()

    class Deaf(Ear):
        def before_answering(self, texts):
            raise ValueError("ear gives no text")

    with pytest.raises(ValueError, match="ear gives no text"):
        run([(1, str(tmp_path))], Transcribe(functools.partial(Deaf)), ([], []))


def test_audio_is_counted_in_bytes(tmp_path):
    (tmp_path / "a.wav").write_bytes(bytes(100))
    handler = TranscriptionModelHandler(Ear)
    array = Example("array", tone(1), sampling_rate=RATE)
    batch = [str(tmp_path / "a.wav"), bytes(7), array, Example("file", tmp_path / "a.wav"), "gone"]
    assert handler.get_num_bytes(batch) == 100 + 7 + tone(1).nbytes + 100


def test_without_apache_beam_the_error_names_the_remedy():
    code = (
        "import sys; sys.modules['apache_beam'] = None; import tfwav2vec2.beam\n"
        "try: from tfwav2vec2.beam import Transcribe\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert "pip install 'tfwav2vec2[beam]'" in done.stdout
    with pytest.raises(ImportError, match="nothing"):
        from tfwav2vec2.beam import nothing  # noqa: F401
