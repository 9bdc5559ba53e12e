from pathlib import Path

import pytest

from tfwav2vec2.cli.recordings import Recording, find_recordings, output_paths


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_at_every_depth_in_order(tmp_path):
    touch(tmp_path, "b.wav", "a.FLAC", "sub/c.mp3", "sub/notes.txt", ".hidden.wav", ".git/d.wav", "e.wav.txt")
    found, problems = find_recordings([tmp_path])
    assert [str(recording.name) for recording in found] == ["a.FLAC", "b.wav", "sub/c.mp3"]
    assert all(recording.path == tmp_path / recording.name for recording in found)
    assert problems == []


def test_a_file_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path, "speech.raw", ".hidden.wav")
    found, problems = find_recordings([tmp_path / "speech.raw", tmp_path / ".hidden.wav"])
    assert [recording.name for recording in found] == [Path("speech.raw"), Path(".hidden.wav")]
    assert problems == []


def test_what_is_named_twice_comes_once(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    found, _ = find_recordings([tmp_path / "b.wav", tmp_path, tmp_path / "a.wav"])
    assert [recording.name.name for recording in found] == ["b.wav", "a.wav"]


def test_missing_files_and_empty_folders_are_problems(tmp_path):
    touch(tmp_path, "good.wav", "empty/notes.txt")
    missing, empty = tmp_path / "missing.wav", tmp_path / "empty"
    found, problems = find_recordings([missing, tmp_path / "good.wav", empty])
    assert [recording.name.name for recording in found] == ["good.wav"]
    assert [f"{missing} does not exist" in problems[0], f"{empty} holds no audio" in problems[1]] == [
        True,
        True,
    ]


def test_outputs_keep_the_subfolders_and_the_whole_name(tmp_path):
    touch(tmp_path, "a.wav", "a.flac", "sub/a.wav")
    found, _ = find_recordings([tmp_path])
    targets = output_paths(found, Path("out"), ".txt")
    assert {str(path.relative_to(tmp_path)): target.as_posix() for path, target in targets.items()} == {
        "a.flac": "out/a.flac.txt",
        "a.wav": "out/a.wav.txt",
        "sub/a.wav": "out/sub/a.wav.txt",
    }


def test_outputs_that_would_collide_are_refused():
    recordings = [Recording(Path("x/a.wav"), Path("a.wav")), Recording(Path("y/a.wav"), Path("a.wav"))]
    with pytest.raises(ValueError, match=r"x/a\.wav and y/a\.wav would both be written to out/a\.wav\.txt"):
        output_paths(recordings, Path("out"), ".txt")
