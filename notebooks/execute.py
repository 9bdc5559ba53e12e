"""Run the notebooks on real recordings: to refresh the outputs that they keep, or to check that they still run.

``python notebooks/execute.py [NOTEBOOK ...]`` writes new outputs into the files; ``--check`` leaves the files as they are,
and fails where a notebook does not run, or where the outputs that it keeps or makes are not fit to be kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from kept_outputs import clean, problems
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent

# Seconds for one cell, on a machine that is busy with something else.
_LONGEST_CELL = 900


def main() -> int:
    """Run what the command line names; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of this folder by default")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail on errors and unfit outputs"
    )
    given = parser.parse_args()
    wrong = 0
    for path in given.notebooks or sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        found = [f"kept: {problem}" for problem in problems(notebook)] if given.check else []
        began = time.monotonic()
        try:
            execute(notebook)
        except CellExecutionError as error:
            found.append(f"run: {error}")
        else:
            clean(notebook)
            found += [f"run: {problem}" for problem in problems(notebook)]
        print(f"{path.name}: {time.monotonic() - began:.0f} s", *found, sep="\n  ", flush=True)
        wrong += bool(found)
        if not given.check and not found:
            nbformat.write(notebook, path)
    return int(wrong > 0)


def execute(notebook: Any) -> None:
    """Run all cells in a new kernel of this interpreter, in the notebooks' folder; the outputs are put in place.

    Raises:
        CellExecutionError: for the first cell that fails.
    """
    with tempfile.TemporaryDirectory() as settings:
        # A user's own settings of IPython are not part of the notebook.
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "IPYTHONDIR": settings}
        NotebookClient(
            notebook,
            timeout=_LONGEST_CELL,
            kernel_name="python3",
            coalesce_streams=True,
            resources={"metadata": {"path": str(FOLDER)}},
            # Sockets are files here: a kernel on a network port warns that anybody on the machine could read along. Their
            # path is absolute, since the kernel runs in another folder than this process.
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(Path(settings, "kernel"))}}),
        ).execute()


if __name__ == "__main__":
    sys.exit(main())
