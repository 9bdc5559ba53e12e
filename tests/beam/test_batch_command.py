"""``tfwav2vec2 batch`` in this process, with an ear at the other end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tests.beam.ear import RATE, text_of, tone, write_tones
from tests.conftest import REPOSITORY
from tfwav2vec2.beam import transcription
from tfwav2vec2.beam.journal import Journal
from tfwav2vec2.cli.batch import batch as batch_command
from tfwav2vec2.cli.main import cli

pytest.importorskip("apache_beam", reason="needs the extra beam: pip install 'tfwav2vec2[beam]'")

from tfwav2vec2.beam.model_handler import BATCH_SECONDS


@pytest.fixture
def batch(ear, tmp_path):
    """Runs the command on ``tmp_path / in`` and ``tmp_path / out``, or what stands in their place."""

    def run(*options, source=tmp_path / "in", output=tmp_path / "out", model=ear.address):
        arguments = ["batch", str(source), str(output), "--model", str(model), *map(str, options)]
        return CliRunner().invoke(cli, arguments, catch_exceptions=False)

    return run


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def texts_in(out):
    """The transcripts of a batch by their ids; each must stand there once."""
    rows = [row for path in sorted(out.glob("transcripts-*")) for row in rows_of(path)]
    texts = {row["id"]: row["text"] for row in rows}
    assert len(texts) == len(rows)
    return texts


def failures_in(out):
    return {row["id"]: row["error"] for row in rows_of(out / "failures.jsonl")}


def test_a_folder_becomes_transcripts(batch, ear, tmp_path):
    texts = write_tones(tmp_path / "in", range(25))
    result = batch()
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("25 of 25 recordings transcribed: ")
    assert "real-time factor" in result.stderr
    assert texts_in(tmp_path / "out") == texts
    assert list(texts_in(tmp_path / "out")) == sorted(texts, key=lambda name: (name.count("/"), name))
    assert failures_in(tmp_path / "out") == {}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["recordings"], summary["transcribed"], summary["failed"]) == (25, 25, 0)
    assert sorted(ear.heard) == sorted(texts.values())


def test_a_second_run_asks_the_model_nothing(batch, ear, tmp_path):
    write_tones(tmp_path / "in", range(6))
    batch()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json*")}
    ear.heard.clear()
    ear.away = True
    result = batch()
    assert result.exit_code == 0
    assert result.stderr == "6 of 6 recordings transcribed, 6 of them before\n"
    assert ear.heard == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json*")} == before


def test_only_new_and_changed_recordings_are_transcribed(batch, ear, tmp_path):
    texts = write_tones(tmp_path / "in", range(8))
    batch()
    ear.heard.clear()
    texts |= write_tones(tmp_path / "in", [20, 21])
    gone, changed = "000.wav", "003.wav"
    (tmp_path / "in" / gone).unlink()
    del texts[gone]
    soundfile.write(tmp_path / "in" / changed, tone(30, 0.4), RATE)
    texts[changed] = text_of(30)
    result = batch()
    assert result.stderr.startswith("9 of 9 recordings transcribed, 6 of them before")
    assert sorted(ear.heard) == sorted([text_of(20), text_of(21), text_of(30)])
    assert texts_in(tmp_path / "out") == texts


def test_what_fails_is_named_and_tried_again(batch, ear, tmp_path):
    folder = tmp_path / "in"
    texts = write_tones(folder, range(6))
    (folder / "text.wav").write_text("no audio")
    soundfile.write(folder / "short.wav", tone(1)[:100], RATE)
    soundfile.write(folder / "nan.wav", np.full(8000, np.nan, np.float32), RATE, subtype="FLOAT")
    ear.refused = {text_of(3)}
    result = batch()
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    failures = failures_in(tmp_path / "out")
    assert failures.keys() == {"text.wav", "nan.wav", "003.wav"}
    assert errors == [f"Error: {error}" for error in failures.values()]
    assert all(str(folder / name) in error for name, error in failures.items())
    assert "I cannot stand this tone" in failures["003.wav"]
    # What the server does not know, the engine that asks it cannot know: 100 samples are heard.
    heard = texts_in(tmp_path / "out")
    assert heard.keys() == texts.keys() - {"003.wav"} | {"short.wav"}
    assert result.stderr.splitlines()[-1].startswith("6 of 9 recordings transcribed")
    # A rerun tries what failed, and nothing else.
    ear.refused.clear()
    ear.heard.clear()
    soundfile.write(folder / "text.wav", tone(9), RATE)
    result = batch()
    assert result.exit_code == 1
    assert failures_in(tmp_path / "out").keys() == {"nan.wav"}
    assert sorted(ear.heard) == sorted([text_of(3), text_of(9)])
    assert texts_in(tmp_path / "out") == heard | {"003.wav": text_of(3), "text.wav": text_of(9)}


def test_no_more_failures_are_printed_than_are_read(batch, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(25):
        (tmp_path / "in" / f"{number}.wav").write_text("no audio")
    result = batch()
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 21
    assert errors[-1] == f"Error: 5 more failed: {tmp_path / 'out' / 'failures.jsonl'} says why"
    assert result.stderr.splitlines()[-1] == "0 of 25 recordings transcribed"


def test_a_list_and_a_manifest_with_parts(batch, tmp_path):
    texts = write_tones(tmp_path / "in", range(4))
    (tmp_path / "list").write_text("".join(f"in/{name}\n" for name in texts) + "in/gone.wav\n")
    result = batch(source=tmp_path / "list", output=tmp_path / "listed")
    assert result.exit_code == 1
    assert texts_in(tmp_path / "listed") == {f"in/{name}": text for name, text in texts.items()}
    assert "does not exist" in failures_in(tmp_path / "listed")["in/gone.wav"]
    soundfile.write(tmp_path / "two.wav", np.concatenate([tone(1, 0.5), tone(9, 0.5)]), RATE)
    (tmp_path / "m.csv").write_text("id,path,start,end\nfirst,two.wav,,0.5\nsecond,two.wav,0.5,\n")
    result = batch(source=tmp_path / "m.csv", output=tmp_path / "parts")
    assert result.exit_code == 0, result.stderr
    assert texts_in(tmp_path / "parts") == {"first": text_of(1), "second": text_of(9)}


def test_a_name_that_is_no_text_comes_out_as_json(batch, tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    write_tones(tmp_path / "in", [0])
    (tmp_path / "in" / "000.wav").rename(tmp_path / "in" / name)
    assert batch().exit_code == 0
    (path,) = (tmp_path / "out").glob("transcripts-*")
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == name


def error_of(result):
    """The one line that a command that could not begin says."""
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_wrong_input_is_one_clear_error(batch, tmp_path):
    (tmp_path / "in").mkdir()
    assert "holds no audio files" in error_of(batch())
    assert "does not exist" in error_of(batch(source=tmp_path / "gone"))
    (tmp_path / "empty").touch()
    assert "names no recordings" in error_of(batch(source=tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_wrong_options_are_one_clear_error(batch, tmp_path):
    write_tones(tmp_path / "in", [0])
    assert "There is no runner nonsense" in error_of(batch("--runner", "nonsense"))
    assert "--workers goes with --runner multi-process alone" in error_of(batch("--workers", 2))
    assert "Apache Beam has no option --nonsense" in error_of(batch("--", "--nonsense=1"))
    assert "unexpected extra argument (more)" in error_of(batch("more"))
    assert "--batch-seconds" in error_of(batch("--batch-seconds", 0))
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_something_elses_is_refused(batch, ear, tmp_path):
    write_tones(tmp_path / "in", range(3))
    write_tones(tmp_path / "others", [9])
    assert "holds other files (000.wav, 1, 2)" in error_of(batch(output=tmp_path / "in"))
    assert batch().exit_code == 0
    message = error_of(batch(source=tmp_path / "others"))
    assert f"holds a batch with the input {tmp_path / 'in'}, and now it is {tmp_path / 'others'}" in message
    message = error_of(batch(model=ear.address + "-2"))
    assert "with the model" in message
    assert "name another folder for the results" in message
    assert len(texts_in(tmp_path / "out")) == 3


def test_a_model_that_cannot_be_opened_is_one_clear_error(batch, tmp_path):
    write_tones(tmp_path / "in", [0])
    (tmp_path / "model").mkdir()
    assert "holds no preprocessor_config.json" in error_of(batch(model=tmp_path / "model"))
    (tmp_path / "a.tflite").write_text("damaged")
    assert "a.tflite is no LiteRT file" in error_of(batch(model=tmp_path / "a.tflite"))


def test_a_server_that_goes_away_stops_the_batch_and_spoils_nothing(batch, ear, tmp_path, monkeypatch):
    monkeypatch.setattr(transcription, "PATIENCE", (0.0, 0.0))
    texts = write_tones(tmp_path / "in", range(24))
    answer = ear.answer

    def answer_some(body):
        ear.away = len(ear.heard) >= 10
        return answer(body)

    ear.answer = answer_some
    message = error_of(batch())
    assert "does not answer as TensorFlow Serving does" in message
    assert "while running" not in message
    ear.answer = answer
    ear.away = False
    kept = len(ear.heard)
    assert kept >= 10
    result = batch()
    assert result.exit_code == 0
    assert "of them before" in result.stderr
    assert texts_in(tmp_path / "out") == texts
    assert failures_in(tmp_path / "out") == {}


def test_a_runner_that_writes_elsewhere_is_found_out(batch, tmp_path, monkeypatch):
    """As one does whose workers are on other machines, with other disks."""
    write_tones(tmp_path / "in", range(3))
    monkeypatch.setattr(Journal, "write", lambda *_: None)
    assert "without a word on 3 recordings: its workers must see" in error_of(batch())
    assert not (tmp_path / "out" / "summary.json").exists()


def test_the_default_is_the_transforms():
    (option,) = [option for option in batch_command.params if option.name == "batch_seconds"]
    assert option.default == BATCH_SECONDS


def test_progress_is_counted_in_recordings(batch, tmp_path, monkeypatch):
    """On a terminal; what was done before counts from the start."""
    seen = []

    class Bar:
        def __init__(self, *, total, initial, **_):
            seen.append((initial, total))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            """Nothing to close."""

        def update(self, more):
            seen.append(more)

    monkeypatch.setattr("tqdm.tqdm", Bar)
    write_tones(tmp_path / "in", range(6))
    batch()
    write_tones(tmp_path / "in", range(6, 9))
    batch()
    starts = [place for place, item in enumerate(seen) if isinstance(item, tuple)]
    assert [seen[place] for place in starts] == [(0, 6), (6, 9)]
    assert sum(seen[1 : starts[1]]) <= 6
    assert sum(seen[starts[1] + 1 :]) <= 3


def test_the_runners_chatter_goes_to_a_file(batch, tmp_path, capfd):
    write_tones(tmp_path / "in", [0])
    batch()
    assert capfd.readouterr().err == ""
    assert (tmp_path / "out" / "log.txt").exists()


@pytest.mark.parametrize("arguments", [["batch", "--help"], ["--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from click.testing import CliRunner; from tfwav2vec2.cli.main import cli; "
        f"result = CliRunner().invoke(cli, {arguments!r}, catch_exceptions=False); "
        "assert 'Example' in result.output; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert "click" in done.stdout.split()
    heavy = {"apache_beam", "tensorflow", "keras", "numpy", "soundfile", "tqdm"}
    assert not heavy & set(done.stdout.split())


def test_without_apache_beam_the_command_names_the_remedy(tmp_path):
    write_tones(tmp_path / "in", [0])
    code = (
        "import sys; sys.modules['apache_beam'] = None; from tfwav2vec2.cli.main import main; "
        f"sys.argv = ['tfwav2vec2', 'batch', {str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Large batches need the package apache_beam")
    assert "pip install 'tfwav2vec2[beam]'" in done.stderr
    assert not Path(tmp_path / "out").exists()
