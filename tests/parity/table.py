"""The table of the README: every class, every variant and every backend beside the reference.

::

    python -m tests.parity.table --size base --write README.md   # measures at base size and replaces the README's table
    python -m tests.parity.table --size tiny --check README.md   # measures tiny models; the README must have every row

Both end with an error where a row is missing or beyond its limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from tests.parity.matrix import BACKENDS, LOSS_LIMIT, ROWS, SIZES, Row

BEGIN, END = "<!-- parity table: begin -->", "<!-- parity table: end -->"
HEADER = "| class | variant | " + " | ".join(BACKENDS) + " |"

Measured = dict[tuple[str, Row], dict[str, float | None]]


def measure(backend: str, size: str) -> Measured:
    """Every row on one backend, in a process of its own."""
    command = [sys.executable, "-m", "tests.parity.compare", size]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    measured: Measured = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in tqdm(process.stdout, desc=backend, total=len(ROWS), disable=None):
            if line.startswith("{"):
                values = json.loads(line)
                measured[backend, Row(values.pop("task"), values.pop("variant"))] = values
    return measured


def faults(measured: Measured, size: str) -> list[str]:
    """What is wrong with the measurements: rows that are missing, and values beyond their limits."""
    limit = SIZES[size].output_limit
    limits = {
        "outputs": limit,
        "hidden_states": limit,
        "attentions": limit,
        "loss": LOSS_LIMIT,
        "gradients": 1.0,
    }
    found = []
    for backend in BACKENDS:
        for row in ROWS:
            name = f"{row.task}, {row.variant}, {backend}"
            values = measured.get((backend, row))
            if values is None:
                found.append(f"{name}: missing")
                continue
            for what, value in values.items():
                if value is not None and not value <= limits[what]:
                    found.append(f"{name}: {what} {value:.1e}, allowed {limits[what]:.0e}")
            if row.task != "Model" and values["loss"] is None:
                found.append(f"{name}: no loss")
            if backend != "torch" and values["gradients"] is None:
                found.append(f"{name}: no gradients")
    return found


def render(measured: Measured) -> str:
    """The table in Markdown, without the lines around it."""
    lines = [HEADER, "|---|---|" + "---|" * len(BACKENDS)]
    for row in ROWS:
        cells = [_cell(measured[backend, row]) for backend in BACKENDS]
        lines.append(f"| `{row.task}` | {row.variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: dict[str, float | None]) -> str:
    gradients = values["gradients"]
    return f"{values['outputs']:.0e}" + ("" if gradients is None else f", {100 * gradients:.1f} %")


def rows_missing_from(document: str) -> list[str]:
    """The rows that the table of a document lacks, or that have a cell without a number."""
    if BEGIN not in document or END not in document:
        return ["the whole table"]
    lines = document.split(BEGIN)[1].split(END)[0].splitlines()
    present = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        present[tuple(cells[:2])] = [cell for cell in cells[2:] if cell[:1].isdigit()]
    missing = [] if HEADER in lines else ["the header"]
    return missing + [
        f"{row.task}, {row.variant}"
        for row in ROWS
        if len(present.get((f"`{row.task}`", row.variant), ())) != len(BACKENDS)
    ]


def replace_table(document: str, table: str, size: str) -> str:
    """The document with the table between its two marks replaced."""
    before, rest = document.split(BEGIN)
    day = datetime.now(UTC).date().isoformat()
    note = f"Measured {day} at {size} size by `python -m tests.parity.table --size {size} --write README.md`."
    return before + "\n".join([BEGIN, table, "", note, END]) + rest.split(END)[1]


def _exit(problems: list[str], heading: str) -> None:
    if problems:
        click.echo("\n  ".join([heading, *problems]), err=True)
        sys.exit(1)


@click.command(epilog="Example:  python -m tests.parity.table --size tiny --check README.md")
@click.option("--size", type=click.Choice(list(SIZES)), default="tiny", show_default=True)
@click.option("--write", type=click.Path(path_type=Path), help="Replace the table of this document.")
@click.option(
    "--check", type=click.Path(path_type=Path), help="The table of this document must have every row."
)
def main(size: str, write: Path | None, check: Path | None) -> None:
    """Measure every class, variant and backend beside the reference; fail where one is missing or too far off."""
    if check is not None:
        _exit(rows_missing_from(check.read_text()), f"The table of {check} lacks:")
    measured: dict[Any, Any] = {}
    with ThreadPoolExecutor(1 if size == "base" else 2) as pool:
        for of_backend in pool.map(partial(measure, size=size), BACKENDS):
            measured |= of_backend
    _exit(faults(measured, size), "Rows that are missing or beyond their limits:")
    table = render(measured)
    click.echo(table)
    if write is not None:
        write.write_text(replace_table(write.read_text(), table, size))


if __name__ == "__main__":
    main()
