import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfwav2vec2 import Example
from tfwav2vec2.beam.recordings import find_batch


def names(found):
    return [recording.id for recording in found]


def test_a_folder_is_searched_at_every_depth(recordings):
    found, problems = find_batch(recordings)
    assert problems == []
    assert names(found) == ["a.wav", "b.flac", "sub/a.wav", "sub/deep/c.OGG"]
    assert [recording.file for recording in found] == [str(recordings / name) for name in names(found)]
    assert [recording.source for recording in found] == [recording.file for recording in found]
    assert all(recording.size == Path(recording.file).stat().st_size for recording in found)


def test_a_list_names_paths_relative_to_itself(recordings, tmp_path):
    there = os.path.relpath(recordings, tmp_path)
    listed = tmp_path / "calls.txt"
    lines = [f"{there}/a.wav", "", str(recordings / "b.flac"), f"{there}/a.wav", "gone.wav"]
    listed.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found, problems = find_batch(listed)
    assert problems == []
    assert names(found) == [lines[0], lines[2], "gone.wav"]
    assert [recording.size is None for recording in found] == [False, False, True]
    assert all(Path(recording.file).is_absolute() for recording in found)


def test_a_name_that_is_no_text_is_kept(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / name).write_bytes(b"RIFF")
    (tmp_path / "list").write_bytes(b"caf\xe9.wav\n")
    for given in (tmp_path, tmp_path / "list"):
        ((recording,), _) = find_batch(given)
        assert recording.id == name
        assert recording.size is not None
        assert len(recording.fingerprint) == 16


def test_a_manifest_names_recordings_and_parts_of_them(recordings, tmp_path):
    manifest = tmp_path / "calls.tsv"
    rows = [
        "id\tpath\tstart\tend",
        f"whole\t{recordings}/a.wav\t\t",
        f"part\t{recordings}/a.wav\t0.1\t0.3",
        f"rest\t{recordings}/a.wav\t0.3\t",
    ]
    manifest.write_text("\n".join(rows) + "\n")
    (whole, part, rest), problems = find_batch(manifest)
    assert problems == []
    assert (whole.id, whole.source) == ("whole", str(recordings / "a.wav"))
    assert isinstance(part.source, Example)
    assert (part.source.id, part.source.start, part.source.end) == ("part", 0.1, 0.3)
    assert (rest.source.start, rest.source.end) == (0.3, None)
    assert len({recording.fingerprint for recording in (whole, part, rest)}) == 3


def test_a_single_recording_is_a_batch_of_one(recordings):
    found, _ = find_batch(recordings / "b.flac")
    assert names(found) == ["b.flac"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no recordings"),
        (b" \n\n", "names no recordings"),
        (b"RIFF\0\0", "is no list of recordings"),
    ],
)
def test_a_list_that_is_none(tmp_path, content, message):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        find_batch(tmp_path / "list")


def test_two_recordings_of_one_name_are_refused(tmp_path):
    (tmp_path / "m.csv").write_text("id,path\none,a.wav\ntwo,b.wav\none,c.wav\n")
    with pytest.raises(ValueError, match=r"two recordings 'one', .*a\.wav and .*c\.wav"):
        find_batch(tmp_path / "m.csv")


def test_nothing_there_and_nothing_in_it_are_problems(tmp_path):
    assert find_batch(tmp_path) == (
        [],
        [f"{tmp_path} holds no audio files: name the files, or another folder"],
    )
    found, (problem,) = find_batch(tmp_path / "gone")
    assert found == []
    assert "does not exist" in problem


def test_a_changed_file_has_another_fingerprint(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 16_000)

    def fingerprint():
        return find_batch(tmp_path)[0][0].fingerprint

    before = fingerprint()
    assert fingerprint() == before
    os.utime(path, ns=(0, 1))
    touched = fingerprint()
    assert touched != before
    soundfile.write(path, np.zeros(900), 16_000)
    os.utime(path, ns=(0, 1))
    assert fingerprint() not in (before, touched)
    path.unlink()
    (tmp_path / "list").write_text("a.wav")
    assert len(find_batch(tmp_path / "list")[0][0].fingerprint) == 16
