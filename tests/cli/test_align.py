from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfwav2vec2.cli.align import DIGITS_ONLY
from tfwav2vec2.cli.main import cli

TEXT = "Bad,\n\u2014 a cab!\n"


@pytest.fixture
def run() -> Callable[..., Result]:
    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, ["align", *map(str, arguments)])

    return run


@pytest.fixture
def align(run: Callable[..., Result], tiny_folder: Path) -> Callable[..., Result]:
    return lambda *arguments: run("--model", tiny_folder, *arguments)


@pytest.fixture(scope="session")
def recording(recordings: Path) -> Path:
    return recordings / "a.wav"


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "said.txt"
    path.write_text(TEXT, encoding="utf-8-sig")  # as Windows editors do
    return path


def test_json_has_words_lines_and_the_score(align, recording, text_file) -> None:
    result = align(recording, text_file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert (found["file"], found["text"]) == (str(recording), "Bad, \u2014 a cab!")
    assert [word["text"] for word in found["words"]] == ["Bad, \u2014", "a", "cab!"]
    assert [line["text"] for line in found["lines"]] == ["Bad, \u2014", "a cab!"]
    for word in found["words"]:
        assert set(word) == {"text", "start", "end", "confidence"}
        assert 0 <= word["start"] <= word["end"] <= found["seconds"]
    assert found["lines"][1]["end"] == found["words"][2]["end"]
    assert found["score"] < 0
    assert re.search(r"3 words aligned in 0\.5 s of audio, mean confidence 0\.\d\d", result.stderr)


def test_a_file_and_an_option_say_the_same(align, recording, text_file) -> None:
    assert align(recording, text_file).stdout == align(recording, "--text", TEXT).stdout


def test_characters_are_asked_for(align, recording) -> None:
    found = json.loads(align(recording, "--text", TEXT, "--characters").stdout)
    characters = [[each["text"] for each in word["characters"]] for word in found["words"]]
    assert characters == [list("Bad"), ["a"], list("cab")]
    tiers = align(recording, "--text", TEXT, "--characters", "--format", "textgrid").stdout
    assert 'name = "characters"' in tiers
    assert 'name = "characters"' not in align(recording, "--text", TEXT, "--format", "textgrid").stdout


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("srt", ["Bad, \u2014", "a cab!"]),
        ("vtt", ["Bad, \u2014", "a cab!"]),
        ("tsv", ["Bad, \u2014", "a cab!"]),
        ("ctm", ["Bad,_\u2014", "a_cab!"]),
        ("textgrid", ["Bad, \u2014", "a cab!"]),
    ],
)
def test_lines_in_every_format(align, recording, layout: str, expected: list[str]) -> None:
    result = align(recording, "--text", TEXT, "--lines", "--format", layout)
    assert result.exit_code == 0, result.stderr
    places = [result.stdout.index(line) for line in expected]
    assert places == sorted(places)
    if layout in ("srt", "vtt"):
        assert result.stdout.count("-->") == len(expected)  # each is a subtitle of its own


@pytest.mark.parametrize("layout", ["srt", "vtt", "tsv", "ctm", "textgrid"])
def test_words_in_every_format(align, recording, layout: str, tmp_path: Path) -> None:
    output = tmp_path / "new" / "times"
    result = align(recording, "--text", TEXT, "--format", layout, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    content = output.read_text(encoding="utf-8")
    assert all(word in content for word in ("Bad,", "cab!"))
    assert content == align(recording, "--text", TEXT, "--format", layout).stdout


def test_highlighted_words(align, recording) -> None:
    result = align(recording, "--text", TEXT, "--format", "srt", "--highlight-words")
    assert result.stdout.count("<u>") == 3
    refused = align(recording, "--text", TEXT, "--highlight-words", "--lines")
    assert refused.exit_code == 2
    assert "choose one" in refused.stderr


def test_a_picture(align, recording, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "times.png"
    result = align(recording, "--text", TEXT, "--plot", picture)
    assert result.exit_code == 0, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{picture} shows 0.0 to 0.5 s" in result.stderr
    assert align(recording, "--text", TEXT, "--plot", tmp_path / "times.nothing").exit_code == 1


def test_reach_and_unknown_reach_the_aligner(align, recording) -> None:
    wide = json.loads(align(recording, "--text", "bad", "--reach", "1").stdout)
    assert (wide["words"][0]["start"], wide["words"][0]["end"]) == (0, wide["seconds"])
    digits = align(recording, "--text", "bad 7")
    assert digits.exit_code == 1
    assert "no letters for '7'" in digits.stderr
    found = json.loads(align(recording, "--text", "bad 7", "--unknown", "wildcard").stdout)
    assert "confidence" not in found["words"][1]


def test_what_is_wrong_is_said_in_one_line(
    align, run, recording, recordings, text_file, tmp_path: Path
) -> None:
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    for arguments, message in [
        ((recording,), "Give what is said either in a file, TEXT_FILE, or with --text"),
        ((recording, text_file, "--text", "a"), "Give what is said either"),
        ((recording, tmp_path / "missing.txt"), "missing.txt cannot be read: No such file"),
        ((recording, binary), "binary.txt is no text in UTF-8"),
        ((recording, "--text", "..."), "the text has no letters"),
        ((recording, "--text", "abcd" * 1000), "a.wav: The text cannot be aligned: it needs 4000 frames"),
        ((recordings / "missing.wav", "--text", "a"), "missing.wav"),
        ((recordings / "notes.txt", "--text", "a"), "notes.txt"),
        ((recording, "--text", "a", "--output", text_file / "x"), "said.txt"),
    ]:
        result = align(*arguments)
        assert result.exit_code in (1, 2)
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
    assert "has no languages" in run(recording, "--text", "1", "--language", "eng").stderr


def test_the_embedded_model_says_what_it_knows(run, recording) -> None:
    result = run(recording, "--text", "seven")
    assert result.exit_code == 1
    assert DIGITS_ONLY in result.stderr
    assert "no letters for 's'" in result.stderr


def test_help_imports_no_framework() -> None:
    import subprocess

    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfwav2vec2.cli.main import cli\n"
        "assert 'AUDIO' in CliRunner().invoke(cli, ['align', '--help']).stdout\n"
        "heavy = {'tensorflow', 'keras', 'numba', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
