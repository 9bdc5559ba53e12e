"""What is said in a recording, as a file of text has it."""

from __future__ import annotations

from pathlib import Path

import click


def read_spoken_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        click.ClickException: where it cannot be read, or is no such text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is no text in UTF-8 ({error.reason}): save it as such") from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror or error}") from None
