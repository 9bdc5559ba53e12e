"""What a notebook may keep of a run: text and pictures of its present code, without sound, warnings or the machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Notebook = Mapping[str, Any]

# The notebook's metadata name the code that its outputs are of.
_DIGEST = "outputs_of"
_KINDS = ("text/plain", "image/png")

# What TensorFlow's C++ code notes before it reads TF_CPP_MIN_LOG_LEVEL, and LiteRT's always, past Python's sys.stderr.
_RUNTIME_NOTE = re.compile(
    r"(WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:|[IWE]0000 |INFO: Created TensorFlow Lite )"
)
# How long an epoch and its steps took, as Keras writes it: "23/23 - 8s - 355ms/step - loss: ...".
_KERAS_TIMES = re.compile(r" - \d+m?s(?: - \d+m?s/(?:step|epoch))?(?= - |$)", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Two components make a path; a fraction (8/9) and the end of an address (https://a.org/b/c) are none. What is below /models is
# in the container of TensorFlow Serving.
_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])(?!/models/)/[\w.~+-]+/[\w.~+-]+|(?<!\w)[A-Za-z]:\\\w+")


def clean(notebook: Any) -> None:
    """Take out, in place, what differs from run to run, and note which code the outputs are of."""
    for cell in _code_cells(notebook):
        cell["metadata"].pop("execution", None)
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                output["text"] = _cleaned(_text(output["text"]), is_error=output["name"] == "stderr")
        cell["outputs"] = [output for output in cell["outputs"] if output.get("text") != ""]
    notebook["metadata"]["language_info"] = {"name": "python"}
    notebook["metadata"][_DIGEST] = _digest(notebook)


def problems(notebook: Notebook) -> list[str]:
    """What should not be among the kept outputs, a sentence each."""
    found = []
    if notebook["metadata"].get(_DIGEST) != _digest(notebook):
        found.append("the outputs are not those of the present code; run notebooks/execute.py")
    for number, cell in enumerate(_code_cells(notebook), start=1):
        if cell["execution_count"] != number:
            found.append(f"code cell {number} was executed as number {cell['execution_count']}")
        for output in cell["outputs"]:
            found += [f"code cell {number} {problem}" for problem in _problems_of(output)]
    return found


def _problems_of(output: Mapping[str, Any]) -> Iterator[str]:
    if output["output_type"] == "error":
        yield f"failed: {output['ename']}: {output['evalue']}"
        return
    if output["output_type"] == "stream":
        texts = [_text(output["text"])]
        if output["name"] == "stderr":
            yield f"wrote to standard error: {texts[0].strip()}"
    else:
        data = output["data"]
        yield from (
            f"keeps {kind}, which is neither text nor a picture" for kind in data if kind not in _KINDS
        )
        texts = [_text(value) for kind, value in data.items() if kind.startswith("text/")]
    for text in texts:
        yield from (f"names a path of this machine: {path}" for path in _ABSOLUTE_PATH.findall(text))


def _cleaned(text: str, *, is_error: bool) -> str:
    if is_error:
        return "".join(line for line in text.splitlines(keepends=True) if not _RUNTIME_NOTE.match(line))
    return _KERAS_TIMES.sub("", _ANSI.sub("", text))


def _digest(notebook: Notebook) -> str:
    sources = [_text(cell["source"]) for cell in _code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def _code_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _text(value: str | list[str]) -> str:
    """A notebook's file holds text as one string or as its lines."""
    return value if isinstance(value, str) else "".join(value)
