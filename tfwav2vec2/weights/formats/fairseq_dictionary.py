"""fairseq's dictionaries: the symbols that the outputs of a fine-tuned model stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.inert_objects import InertObject, attribute

# In fairseq's order. Every dictionary begins with them, and its files leave them out.
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
# fairseq's CTC takes symbol 0 for the blank, and the reference takes <pad>: as in the reference's conversion the two
# change names, so that every output keeps its place.
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
TOKEN_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

_OVERWRITE = " #fairseq:overwrite"
_LETTERS = "dict.ltr.txt"
# The largest dictionaries, of many languages' words, have a few hundred kilobytes.
_MAX_BYTES = 16 * 2**20


def vocabulary(path: Path, training: dict[Any, Any], size: int) -> dict[str, int] | None:
    """The id of each symbol, from the dictionary inside the checkpoint, or from ``dict.*.txt`` beside it.

    Args:
        path: the checkpoint file.
        training: what the file holds beside the state dict.
        size: the number of outputs.

    Returns:
        Symbols and ids; None where there is no dictionary.

    Raises:
        CheckpointError: where a dictionary is damaged, has another number of symbols than the model has outputs, or
            where several fit.
    """
    inside = attribute(attribute(training, "task_state"), "target_dictionary")
    if isinstance(inside, InertObject) and inside.name.endswith(".Dictionary"):
        return _numbered(path, attribute(inside, "symbols"), size)
    files = sorted(path.parent.glob("dict.*.txt"))
    letters = path.with_name(_LETTERS)
    if letters in files:
        files = [letters]
    if len(files) > 1:
        raise CheckpointError(
            f"{path} may go with any of {', '.join(file.name for file in files)}; leave one dictionary beside it, or name it {_LETTERS}"
        )
    return _numbered(files[0], read_dictionary(files[0]), size) if files else None


def read_dictionary(path: Path) -> list[str]:
    """The symbols of a dictionary's file in fairseq's order, special symbols first.

    Each line holds a symbol, a space and how often it occurs, and perhaps ``#fairseq:overwrite``.

    Raises:
        CheckpointError: where the file is no such dictionary.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise CheckpointError(
            f"{path} has more than {_MAX_BYTES} bytes; check that it is fairseq's dictionary"
        )
    symbols = list(_SPECIAL)
    try:
        # Only \n ends a line: a symbol may be any other space.
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise CheckpointError(f"{path} is no text in UTF-8; download or write it again") from None
    for number, line in enumerate(lines, start=1):
        overwrite = line.rstrip().endswith(_OVERWRITE)
        symbol, space, occurrences = line.rstrip().removesuffix(_OVERWRITE).rpartition(" ")
        if not space or not occurrences.isdecimal() or (symbol in symbols and not overwrite):
            raise CheckpointError(
                f"{path}, line {number} is {line[:100]!r}; each line has to hold a symbol of its own, a space and a number"
            )
        symbols.append(symbol)
    return symbols


def _numbered(path: Path, symbols: Any, size: int) -> dict[str, int]:
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise CheckpointError(f"{path} holds a dictionary without symbols; save it again")
    if tuple(symbols[: len(_SPECIAL)]) != _SPECIAL or len(symbols) != size:
        raise CheckpointError(
            f"{path} has a dictionary of {len(symbols)} symbols, {symbols[:4]} first, and the model {size} outputs; put "
            f"the dictionary that it was fine-tuned with beside it, as {_LETTERS}"
        )
    ids = {symbol: index for index, symbol in enumerate(symbols)}
    return ids | {symbol: index for index, symbol in enumerate(SPECIAL)}
