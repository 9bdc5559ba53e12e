import json

import pytest

from tfwav2vec2.beam import results
from tfwav2vec2.beam.journal import Outcome
from tfwav2vec2.beam.recordings import BatchRecording
from tfwav2vec2.beam.results import Summary, write_results


def batch(count, failing=()):
    recordings = [BatchRecording(f"r{number}", f"/r{number}.wav") for number in range(count)]
    outcomes = {
        item.id: Outcome(item.id, item.fingerprint, "", 0.0, "bad")
        if number in failing
        else Outcome(item.id, item.fingerprint, f"text {number}", 0.25)
        for number, item in enumerate(recordings)
    }
    return recordings, outcomes


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_transcripts_failures_and_a_summary(tmp_path):
    summary = write_results(tmp_path, *batch(4, failing=[1]))
    assert summary == Summary(recordings=4, transcribed=3, failed=1, seconds=0.75)
    assert rows(tmp_path / "transcripts-00000.jsonl") == [
        {"id": f"r{number}", "file": f"/r{number}.wav", "text": f"text {number}", "seconds": 0.25}
        for number in (0, 2, 3)
    ]
    assert rows(tmp_path / "failures.jsonl") == [{"id": "r1", "file": "/r1.wav", "error": "bad"}]
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "recordings": 4,
        "transcribed": 3,
        "failed": 1,
        "seconds": 0.75,
    }


def test_many_transcripts_go_into_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "LINES_A_FILE", 4)
    write_results(tmp_path, *batch(9))
    counts = [len(rows(path)) for path in sorted(tmp_path.glob("transcripts-*.jsonl"))]
    assert counts == [4, 4, 1]
    # A smaller batch leaves none of the larger one's files.
    write_results(tmp_path, *batch(4))
    assert [path.name for path in tmp_path.glob("transcripts-*")] == ["transcripts-00000.jsonl"]
    write_results(tmp_path, *batch(1, failing=[0]))
    assert sorted(contents(tmp_path)) == ["failures.jsonl", "summary.json"]


@pytest.mark.parametrize("writes", range(4))
def test_interrupted_it_leaves_no_summary_and_the_next_time_makes_up_for_it(tmp_path, monkeypatch, writes):
    monkeypatch.setattr(results, "LINES_A_FILE", 2)
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    for folder in (whole, interrupted):
        folder.mkdir()
        write_results(folder, *batch(3))
    given = batch(6, failing=[2])
    write_results(whole, *given)
    left = [writes]
    write = results.write_json_lines

    def write_some(*args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(*args)

    monkeypatch.setattr(results, "write_json_lines", write_some)
    with pytest.raises(KeyboardInterrupt):
        write_results(interrupted, *given)
    assert not (interrupted / "summary.json").exists()
    monkeypatch.setattr(results, "write_json_lines", write)
    write_results(interrupted, *given)
    assert contents(interrupted) == contents(whole)
