"""The speech synthesizer eSpeak NG, which is a program of its own: it lends the recipe voices and pronunciations."""

from __future__ import annotations

import shutil
import subprocess


def run(*arguments: str) -> str:
    """What the program prints.

    Raises:
        FileNotFoundError: where eSpeak NG is not installed.
        OSError: where it fails.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise FileNotFoundError(
            "espeak-ng is not installed; this recipe learns from its voices and its pronunciations: "
            "install it (Debian: apt-get install espeak-ng) and run the recipe again"
        )
    # The program was found on the path and the arguments are this recipe's own: nothing comes from outside.
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        raise OSError(f"espeak-ng {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout
