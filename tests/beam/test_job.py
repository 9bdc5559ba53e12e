"""A folder of results belongs to one input and one model."""

import json
import shutil
import subprocess
import sys

import pytest

from tfwav2vec2.beam.job import Job, describe_job, open_job
from tfwav2vec2.beam.journal import Outcome
from tfwav2vec2.embedded import embedded_model


def begin(folder, job, write=True):
    with open_job(folder, job) as journal:
        if write:
            journal.write("0001-000000", [Outcome("a", "", "text", 1.0)])


@pytest.fixture
def job(tmp_path):
    return Job(str(tmp_path / "in"), "model", None, "f1")


def test_the_same_job_goes_on(tmp_path, job):
    begin(tmp_path / "deep" / "out", job)
    with open_job(tmp_path / "deep" / "out", job) as journal:
        assert [outcome.text for outcome in journal.outcomes()] == ["text"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, "with the model model, and now it is other: give the model of before, or name"),
        ({"language": "fra"}, "with the language None, and now it is fra"),
        ({"input": "/elsewhere"}, "with the input .*, and now it is /elsewhere"),
        ({"fingerprint": "f2"}, "files of the model model have changed"),
        ({"layout": 2}, "written by another version"),
    ],
)
def test_another_job_is_refused_and_changes_nothing(tmp_path, job, change, message):
    out = tmp_path / "out"
    begin(out, job)
    begun = json.loads((out / "job.json").read_text())
    (out / "job.json").write_text(json.dumps(begun | change) if "layout" in change else json.dumps(begun))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = Job(**{**begun, **(change if "layout" not in change else {})})
    with pytest.raises(ValueError, match=message), open_job(out, other):
        pass
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_job_that_has_nothing_to_show_binds_nobody(tmp_path, job):
    begin(tmp_path / "out", job, write=False)
    other = Job(job.input, "other", None, "f2")
    begin(tmp_path / "out", other)
    assert json.loads((tmp_path / "out" / "job.json").read_text())["model"] == "other"


def test_a_folder_of_other_things_is_refused_untouched(tmp_path, job):
    (tmp_path / "out").mkdir()
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / "out" / name).write_text("precious")
    with (
        pytest.raises(ValueError, match=r"holds other files \(a\.txt, b\.txt, c\.txt, \.\.\.\)"),
        open_job(tmp_path / "out", job),
    ):
        pass
    assert len(list((tmp_path / "out").iterdir())) == 4
    with (
        pytest.raises(NotADirectoryError, match="is a file"),
        open_job(tmp_path / "out" / "a.txt", job),
    ):
        pass


def test_an_empty_folder_and_one_of_a_first_moment_are_taken(tmp_path, job):
    out = tmp_path / "out"
    (out / "journal").mkdir(parents=True)
    (out / ".lock").touch()
    (out / ".0123.tmp").write_text("{")
    begin(out, job)
    assert not (out / ".0123.tmp").exists()


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path, job):
    begin(tmp_path / "out", job)
    (tmp_path / "out" / "journal" / ".0123.tmp").write_text("{")
    with open_job(tmp_path / "out", job) as journal:
        assert len(list(journal.outcomes())) == 1
    assert not list((tmp_path / "out").rglob(".*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="such locks are POSIX")
def test_two_processes_do_not_work_in_one_folder(tmp_path, job):
    code = (
        "import sys; from pathlib import Path; from tfwav2vec2.beam.job import Job, open_job\n"
        f"with open_job(Path({str(tmp_path / 'out')!r}), Job({job.input!r}, 'model', None, 'f1')): pass"
    )
    with open_job(tmp_path / "out", job):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Another process works in" in other.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_model_is_known_by_what_it_holds(tiny_folder, tmp_path):
    job = describe_job(tmp_path, str(tiny_folder), None)
    assert (job.model, job.on_hub) == (str(tiny_folder), False)
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    assert describe_job(tmp_path, str(copy), None).fingerprint == job.fingerprint
    (copy / ".cache").write_text("anything")
    assert describe_job(tmp_path, str(copy), None).fingerprint == job.fingerprint
    (copy / "vocab.json").write_text("{}")
    assert describe_job(tmp_path, str(copy), None).fingerprint != job.fingerprint


def test_other_kinds_of_models(tmp_path, monkeypatch):
    assert describe_job(tmp_path, None, None).model == "embedded"
    address = "http://localhost:1/v1/models/ear"
    assert describe_job(tmp_path, address, None) == Job(str(tmp_path), address, None, "")
    lite = next(embedded_model().glob("*.tflite"))
    assert describe_job(tmp_path, str(lite), None).model == str(lite)
    monkeypatch.setattr(
        "tfwav2vec2.beam.job.find_file", lambda name, file: tmp_path / "snapshots" / "0ff1ce" / file
    )
    assert describe_job(tmp_path, "user/model", "fra") == Job(
        str(tmp_path), "user/model", "fra", "0ff1ce", on_hub=True
    )


def test_a_model_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OSError, match="no/such"):
        describe_job(tmp_path, "no/such/folder", None)
