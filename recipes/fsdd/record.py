"""A file of runs, so that a comparison which was cut off goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Record:
    """The runs of a comparison that are done, kept in a file of JSON.

    Args:
        path: the file; where it exists, its runs are not done again.
        conditions: what all runs have in common, as plain data.

    Raises:
        click.UsageError: where the file holds runs under other conditions.
    """

    def __init__(self, path: Path, conditions: dict[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {"conditions": conditions, "runs": []}
        if path.exists():
            self.content = json.loads(path.read_text())
            if self.content.get("conditions") != conditions:
                raise click.UsageError(
                    f"{path} holds runs of another task, setting or version; give another file, or delete it"
                )

    def run(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A run with its measures: the one on record under ``key``, or else one that is done now."""
        for run in self.content["runs"]:
            if key.items() <= run.items():
                return run
        started = time.perf_counter()
        run = key | measure() | {"seconds": round(time.perf_counter() - started, 1)}
        self.content["runs"].append(run)
        self._write()
        click.echo(json.dumps(run))
        return run

    def conclude(self, results: dict[str, Any]) -> None:
        """Keep what follows from the runs beside them."""
        self.content["results"] = results
        self._write()

    def _write(self) -> None:
        # A file that is cut off while it is written would lose the runs before.
        unfinished = self.path.with_name(self.path.name + ".unfinished")
        unfinished.write_text(json.dumps(self.content, indent=1) + "\n")
        unfinished.replace(self.path)
