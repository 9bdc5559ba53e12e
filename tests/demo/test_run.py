import csv
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import soundfile

from demo import make_clips, run
from recipes.spoken_digits.corpus import written


def test_the_clips_are_those_of_the_script():
    with (run.CLIPS / "manifest.tsv").open(newline="") as manifest:
        rows = [tuple(row.values()) for row in csv.DictReader(manifest, delimiter="\t")]
    assert rows == [(name, voice, written(text.split())) for name, voice, text in make_clips.SENTENCES]
    for name, _, text in rows:
        clip = soundfile.info(run.CLIPS / name)
        assert (clip.samplerate, clip.channels, clip.subtype) == (16_000, 1, "PCM_16")
        assert 1 <= len(text) <= 8
        assert (run.CLIPS / name).stat().st_size < 100_000


@pytest.fixture
def stand_in(tiny_folder, monkeypatch):
    monkeypatch.setattr("tfwav2vec2.embedded.embedded_model", lambda: tiny_folder)


def test_the_demo_shows_what_was_said_and_counts_the_errors(stand_in, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "RECORDINGS", tmp_path)
    run.main()
    out = capsys.readouterr().out
    for _, _, text in make_clips.SENTENCES:
        assert f"said   {written(text.split())}\n" in out
    assert out.count("<- differs") == len(make_clips.SENTENCES)  # random weights know no digit
    assert f"of {sum(len(text.split()) for _, _, text in make_clips.SENTENCES)} digits)" in out
    assert f"skipped, {tmp_path / 'fsdd'} is not there" in out
    # Random weights that agree: what is exported computes what the model does.
    engines = ("Keras", "SavedModel", "LiteRT", "REST", "gRPC")
    lines = [line for line in out.splitlines() if line.startswith(tuple(f"  {name}" for name in engines))]
    assert [line.split()[0] for line in lines] == list(engines)
    assert len({line.partition("   (")[0].split(maxsplit=1)[1] for line in lines}) == 1
    assert out.endswith("all engines give the same text\n")


def test_real_recordings_are_joined_where_they_are(shared_data, monkeypatch):
    monkeypatch.setattr(run, "RECORDINGS", shared_data)
    strings = list(run.real_strings())
    counts = sorted(len(text) for _, text in strings)
    assert counts == sorted(list(range(1, 9)) * (len(strings) // 8))
    assert all(samples.ndim == 1 and len(samples) > 1_600 for samples, _ in strings)


def test_without_the_model_the_demo_says_what_to_do(monkeypatch):
    def missing():
        raise FileNotFoundError("no such model: install it again")

    monkeypatch.setattr("tfwav2vec2.embedded.embedded_model", missing)
    with pytest.raises(SystemExit, match="Error: no such model: install it again"):
        run.main()


def test_an_engine_that_hears_something_else_stops_the_demo(stand_in, monkeypatch):
    from demo import exports
    from tfwav2vec2 import Transcriber

    class Deaf(exports.Engine):
        name = "deaf"

        def texts(self, waveform, lengths):
            return [""] * len(waveform)

        def _run(self, waveform, lengths):
            return {}

    monkeypatch.setattr(exports, "open_engine", lambda _: Deaf())
    addresses = SimpleNamespace(rest="http://localhost", grpc="localhost")
    monkeypatch.setattr(exports, "stand_in_server", lambda *_: nullcontext(addresses))
    monkeypatch.setattr("tfwav2vec2.serving.saved_model.export_saved_model", lambda *_: None)
    monkeypatch.setattr("tfwav2vec2.serving.litert.export_litert", lambda *_: None)
    monkeypatch.setattr(exports, "_megabytes", lambda _: 0.0)
    clips = [path for path, _ in run.sample_clips()]
    with pytest.raises(
        SystemExit, match="SavedModel, LiteRT, REST, gRPC hears something else than the model"
    ):
        exports.show_exports(Transcriber.from_pretrained(), clips)
