"""Where an export goes: folders that are there only once it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_folders(folder: Path) -> Iterator[None]:
    """Make a folder and those around it; where what is done inside fails, those that were made are removed again."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        # The innermost first; one that somebody else has used since stays.
        for each in made:
            with suppress(OSError):
                each.rmdir()
        raise
