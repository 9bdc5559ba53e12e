"""The notebooks keep outputs of their present code, with nothing in them that does not belong into a repository."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from notebooks.kept_outputs import clean, problems
from notebooks.recordings import VARIABLE, recordings

NOTEBOOKS = sorted(Path(__file__).resolve().parents[2].joinpath("notebooks").glob("*.ipynb"))


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(**data: str) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "data": {kind.replace("_", "/"): value for kind, value in data.items()},
    }


def notebook_with(*outputs: dict[str, Any]) -> dict[str, Any]:
    cell = {
        "cell_type": "code",
        "metadata": {},
        "source": "fit()",
        "execution_count": 1,
        "outputs": list(outputs),
    }
    text = {"cell_type": "markdown", "metadata": {}, "source": "see /usr/share/doc"}
    return {"metadata": {}, "cells": [text, cell]}


def cleaned(*outputs: dict[str, Any]) -> dict[str, Any]:
    notebook = notebook_with(*copy.deepcopy(outputs))
    clean(notebook)
    return notebook


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 7


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_keeps_is_fit_to_be_kept(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert problems(notebook) == []
    assert any(cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (result(**{"audio_wav": "UklGRg=="}), "keeps audio/wav"),
        (result(text_html="<audio src='data:audio/wav;base64,UklGRg=='></audio>"), "keeps text/html"),
        (stream("saved to /home/somebody/model"), "names a path of this machine: /home/somebody"),
        (stream("saved to 'C:\\Users\\somebody'"), "names a path of this machine: C:\\Users"),
        (result(text_plain="PosixPath('/tmp/abc/model')"), "names a path of this machine: /tmp/abc"),
        (stream("UserWarning: it is slow", "stderr"), "wrote to standard error: UserWarning: it is slow"),
        (
            {"output_type": "error", "ename": "ValueError", "evalue": "no clips", "traceback": []},
            "failed: ValueError: no clips",
        ),
    ],
)
def test_what_does_not_belong_there_is_named(output: dict[str, Any], problem: str) -> None:
    (found,) = problems(cleaned(output))
    assert found.startswith(f"code cell 1 {problem}")


@pytest.mark.parametrize(
    "text",
    [
        "23/23 - loss: 0.1",
        "see https://example.org/a/b",
        "../shared/data",
        "yes/no/yes",
        "--model_config_file=/models/digits/1/models.config",
    ],
)
def test_fractions_addresses_and_relative_paths_stay(text: str) -> None:
    notebook = cleaned(stream(text), result(text_plain=text, image_png="iVBORw0KGgo="))
    assert problems(notebook) == []
    assert notebook["cells"][1]["outputs"][0]["text"] == text


def test_times_and_the_runtimes_notes_are_taken_out() -> None:
    notebook = cleaned(
        stream("Epoch 1/2\n23/23 - 8s - 355ms/step - cer: 0.5 - loss: 2.0\n4/4 - 12s - 3s/step - wer: 1.0\n"),
        stream("I0000 00:00:1795444108.68 27571 port.cc:153] oneDNN custom operations are on.\n", "stderr"),
        stream("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n", "stderr"),
    )
    assert notebook["cells"][1]["outputs"] == [
        stream("Epoch 1/2\n23/23 - cer: 0.5 - loss: 2.0\n4/4 - wer: 1.0\n")
    ]
    assert problems(notebook) == []


def test_outputs_of_older_code_are_noticed() -> None:
    notebook = cleaned(stream("done"))
    notebook["cells"][1]["source"] = "fit(epochs=2)"
    (found,) = problems(notebook)
    assert "not those of the present code" in found


def test_cells_that_were_not_run_in_their_order_are_noticed() -> None:
    notebook = cleaned(stream("done"))
    notebook["cells"][1]["execution_count"] = None
    (found,) = problems(notebook)
    assert found == "code cell 1 was executed as number None"


def test_missing_recordings_are_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"holds no manifest.tsv; set {VARIABLE} to"):
        recordings()
    (tmp_path / "manifest.tsv").touch()
    assert recordings() == tmp_path
