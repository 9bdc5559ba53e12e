from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import ManifestError, as_examples, from_arrays, read_manifest

# What a field of a table can hold: neither the separator nor the end of a line.
fields = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\t"),
    min_size=1,
    max_size=30,
)
rows = st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=5)

anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(800, np.float32), 8000)
    return path


@anywhere
@given(rows=rows)
def test_tab_separated_values_are_taken_as_they_are(tmp_path, rows):
    lines = ["\t".join(row) for row in [("path", "transcript", "speaker"), *rows]]
    found = read_manifest(write(tmp_path / "m.tsv", "\n".join(lines) + "\n"))
    assert [(example.audio, example.target, example.speaker) for example in found] == [
        (tmp_path / file, text, speaker) for file, text, speaker in rows
    ]


@anywhere
@given(rows=rows)
def test_comma_separated_values_may_be_quoted(tmp_path, rows):
    with (tmp_path / "m.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file_name", "text", "speaker_id"), *rows])
    found = read_manifest(tmp_path / "m.csv")
    assert [(example.audio, example.target, example.speaker) for example in found] == [
        (tmp_path / file, text, speaker) for file, text, speaker in rows
    ]


@anywhere
@given(rows=rows)
def test_json_lines_hold_any_text(tmp_path, rows):
    lines = [
        json.dumps({"audio_filepath": file, "text": text, "speaker": speaker}, ensure_ascii=False)
        for file, text, speaker in rows
    ]
    found = read_manifest(write(tmp_path / "m.jsonl", "\n".join(lines)))
    assert [(example.audio, example.target, example.speaker) for example in found] == [
        (tmp_path / file, text, speaker) for file, text, speaker in rows
    ]


def test_all_columns_of_an_example(tmp_path):
    path = write(
        tmp_path / "m.tsv",
        "id\tpath\tlabel\tspeaker\tseconds\tstart\tend\nx\ta.wav\tyes\tann\t2.5\t1\t3.5\n\tb.wav\t\t\t\t\t\n",
    )
    whole, bare = read_manifest(path)
    assert vars(whole) == {
        "id": "x",
        "audio": tmp_path / "a.wav",
        "target": "yes",
        "sampling_rate": None,
        "speaker": "ann",
        "seconds": 2.5,
        "start": 1.0,
        "end": 3.5,
    }
    assert (bare.id, bare.target, bare.speaker, bare.seconds, bare.is_part) == (
        "b.wav",
        None,
        None,
        None,
        False,
    )


def test_an_offset_and_a_duration_are_a_part_and_parts_have_names_of_their_own(tmp_path):
    lines = [
        {"audio_filepath": "a.wav", "offset": start, "duration": 1.5, "text": "x"} for start in (0.0, 1.5)
    ]
    found = read_manifest(write(tmp_path / "m.jsonl", "\n".join(map(json.dumps, lines))))
    assert [(example.start, example.end) for example in found] == [(0.0, 1.5), (1.5, 3.0)]
    assert [example.id for example in found] == ["a.wav@0-1.5", "a.wav@1.5-3"]


def test_intervals_may_stand_in_a_table(tmp_path):
    path = write(tmp_path / "m.tsv", 'path\tintervals\na.wav\t[[0, 1.5, "ann"]]\n')
    assert read_manifest(path)[0].target == [[0, 1.5, "ann"]]


def test_other_columns_and_another_root_can_be_named(tmp_path):
    path = write(tmp_path / "m.tsv", "path\ttranscript\tcommand\tvoice\na.wav\tgo on\tgo\tann\n")
    (example,) = read_manifest(path, target="command", speaker="voice", root=tmp_path / "clips")
    assert (example.audio, example.target, example.speaker) == (tmp_path / "clips" / "a.wav", "go", "ann")


def test_absolute_paths_and_byte_order_marks_are_understood(tmp_path):
    path = write(tmp_path / "m.csv", f"\ufeffpath,text\n{tmp_path / 'b' / 'a.wav'},x\n")
    assert read_manifest(path)[0].audio == tmp_path / "b" / "a.wav"


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_folder_with_metadata(tmp_path, name):
    sound(tmp_path / "unlisted.wav")
    text = (
        "file_name,transcription\na.wav,hi\n"
        if name.endswith("csv")
        else '{"file_name": "a.wav", "text": "hi"}'
    )
    write(tmp_path / name, text)
    (example,) = read_manifest(tmp_path)
    assert (example.audio, example.target) == (tmp_path / "a.wav", "hi")


def test_a_folder_for_each_class(tmp_path):
    for name in ("yes/b.wav", "yes/deep/a.WAV", "no/c.flac", ".hidden/d.wav", "yes/notes.txt", "no/.e.wav"):
        sound(tmp_path / name) if not name.endswith("txt") and name[-3:] != "WAV" else write(
            tmp_path / name, ""
        )
    found = read_manifest(tmp_path)
    assert [(example.id, example.target) for example in found] == [
        ("no/c.flac", "no"),
        ("yes/b.wav", "yes"),
        ("yes/deep/a.WAV", "yes"),
    ]


def test_a_folder_of_nothing_but_audio_has_no_targets(tmp_path):
    sound(tmp_path / "a.wav")
    assert [(example.id, example.target) for example in read_manifest(tmp_path)] == [("a.wav", None)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.tsv", "", "holds no examples"),
        ("m.tsv", "path\ttext\n", "holds no examples"),
        ("m.tsv", "text\tspeaker\nx\ty\n", "no column named audio"),
        ("m.tsv", "path\ttext\n\thello\n", "line 2 names no audio file"),
        ("m.csv", "path,text\na.wav,well, then\n", "line 2 has more fields .* quote fields"),
        ("m.csv", 'path,text\na.wav,"well\n', "line 2 cannot be read|line 3 cannot be read"),
        ("m.tsv", "path\tseconds\na.wav\tlong\n", "line 2: seconds is 'long'"),
        ("m.tsv", "path\tstart\tend\na.wav\t3\t2\n", "line 2: .*part from 3.0 s to 2.0 s"),
        ("m.tsv", "path\tintervals\na.wav\t0-2 ann\n", "line 2: intervals must be JSON"),
        ("m.jsonl", '{"path": "a.wav"}\n[1]\n', "line 2 must be an object"),
        ("m.jsonl", '{"path": "a.wav"}\n{"path": \n', "line 2 is not JSON"),
        ("m.txt", "a.wav hello\n", "must end in .tsv, .csv or .jsonl"),
    ],
)
def test_an_error_names_the_place_and_the_remedy(tmp_path, name, text, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path / name, text))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "m.tsv").write_bytes("path\ttext\na.wav\tgrün\n".encode("latin-1"))
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "m.tsv")


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(ManifestError, match=r"no column 'label' \(target\); its columns are path, text"):
        read_manifest(write(tmp_path / "m.tsv", "path\ttext\na.wav\tx\n"), target="label")


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="check the path"):
        read_manifest(tmp_path / "none.tsv")
    with pytest.raises(ManifestError, match="nor audio files"):
        read_manifest(tmp_path)


def test_arrays_need_one_target_each():
    clips = np.zeros((2, 800), np.float32)
    found = from_arrays(clips, ["a", "b"], 16_000, speakers=["x", "y"])
    assert [(example.id, example.target, example.speaker) for example in found] == [
        ("0", "a", "x"),
        ("1", "b", "y"),
    ]
    with pytest.raises(ValueError, match="2 clips and 1 targets"):
        from_arrays(clips, ["a"], 16_000)


def test_examples_come_from_whatever_holds_them(tmp_path):
    examples = [Example("a", np.zeros(1), sampling_rate=16_000)]
    assert as_examples(examples) == examples
    write(tmp_path / "m.tsv", "path\na.wav\n")
    assert as_examples(str(tmp_path / "m.tsv"))[0].id == "a.wav"
    for other in ([np.zeros(3)], {"a": 1}, 3):
        with pytest.raises(TypeError, match="Examples are"):
            as_examples(other)


def test_the_list_of_the_shared_recordings(shared_data):
    found = read_manifest(shared_data / "manifest.tsv")
    assert len(found) == 3048
    assert all(example.audio.is_file() and example.seconds > 0 and example.speaker for example in found)
