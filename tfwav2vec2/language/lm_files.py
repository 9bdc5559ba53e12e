"""A decoder's files, in pyctcdecode's layout: ``alphabet.json`` and the folder ``language_model``."""

from __future__ import annotations

import gzip
import math
import shutil
from pathlib import Path
from typing import Any

from tfwav2vec2.language.alphabet import Alphabet
from tfwav2vec2.language.kenlm_binary import MAGIC, KenlmModel
from tfwav2vec2.language.language_model import WEIGHTS, LanguageModel
from tfwav2vec2.language.ngram_lm import NGramModel
from tfwav2vec2.weights.files import find_file, network_errors, read_json, write_atomically, write_json

ALPHABET = "alphabet.json"
FOLDER = "language_model"
ATTRIBUTES = "attrs.json"
UNIGRAMS = "unigrams.txt"
ENDINGS = (".arpa", ".arpa.gz", ".bin", ".binary")

# Ten times the word list of the largest published model.
MAX_UNIGRAMS_BYTES = 2**30


def open_word_model(path: str | Path) -> NGramModel | KenlmModel:
    """Open an ARPA file, plain or gzipped, or a KenLM binary, whatever its name.

    Raises:
        OSError: where it is missing or damaged.
        ImportError: where the package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give an ARPA file or a KenLM binary")
    with path.open("rb") as file:
        is_binary = file.read(len(MAGIC)) == MAGIC
    return KenlmModel(path) if is_binary else NGramModel.read(path)


def find_decoder(name_or_path: str | Path, **hub_options: Any) -> Path:
    """The local folder that holds a decoder's files, fetched from the hub if need be.

    Args:
        name_or_path: a folder, or a name on the hub.
        hub_options: as :func:`tfwav2vec2.weights.files.find_file` takes them.

    Raises:
        OSError: where there are none, or they cannot be fetched.
    """
    alphabet: Path = find_file(name_or_path, ALPHABET, **hub_options)
    folder = alphabet.parent
    if Path(name_or_path).expanduser().is_dir():
        return folder
    from huggingface_hub import constants

    # The cache cannot tell a decoder without a language model from one that was not fetched whole: that asks for a file.
    cached_only = hub_options.get("local_files_only") or constants.HF_HUB_OFFLINE
    if find_file(name_or_path, f"{FOLDER}/{ATTRIBUTES}", **hub_options, required=cached_only) is None:
        return folder
    names = [UNIGRAMS]
    names += (
        [path.name for path in _model_files(folder / FOLDER)]
        if cached_only
        else _names_on_hub(name_or_path, hub_options)
    )
    for name in names:
        find_file(name_or_path, f"{FOLDER}/{name}", **hub_options)
    return folder


def _names_on_hub(name_or_path: str | Path, options: dict[str, Any]) -> list[str]:
    """The names of the language models in a repository's folder."""
    from huggingface_hub import HfApi

    try:
        info = HfApi(token=options.get("token")).model_info(
            str(name_or_path), revision=options.get("revision")
        )
    except network_errors() as error:
        raise ConnectionError(
            f"Listing the files of {str(name_or_path)!r} failed ({type(error).__name__}); check the network, or pass "
            "local_files_only=True to use what the cache holds"
        ) from error
    inner = Path(options.get("subfolder") or "", FOLDER)
    paths = [Path(file.rfilename) for file in info.siblings or ()]
    return [path.name for path in paths if path.parent == inner and path.name.endswith(ENDINGS)]


def read_decoder(
    folder: str | Path, unigram_encoding: str = "utf-8"
) -> tuple[Alphabet, LanguageModel | None]:
    """Read a decoder's alphabet and its language model, None where there is none.

    Raises:
        OSError: where a file is missing or damaged.
        ImportError: where the package that reads the language model is not installed.
    """
    folder = Path(folder)
    alphabet = Alphabet.read(find_file(folder, ALPHABET))
    inner = folder / FOLDER
    if not inner.is_dir():
        return alphabet, None
    weights = _read_weights(find_file(inner, ATTRIBUTES))
    unigrams = _read_unigrams(find_file(inner, UNIGRAMS), unigram_encoding)
    models = _model_files(inner)
    if len(models) != 1:
        names = ", ".join(path.name for path in models) or "none"
        raise OSError(f"{inner} must hold one file that ends in {', '.join(ENDINGS)}; it holds {names}")
    return alphabet, LanguageModel(open_word_model(models[0]), unigrams, **weights)


def write_decoder(folder: str | Path, alphabet: Alphabet, language_model: LanguageModel | None) -> list[str]:
    """Write what :func:`read_decoder` reads, a gzipped ARPA file unpacked, since pyctcdecode takes no other; returns the paths.

    Raises:
        OSError: where the folder holds another language model, or cannot be written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / ALPHABET]
    alphabet.write(paths[0])
    inner = folder / FOLDER
    if language_model is None:
        if inner.is_dir():
            raise OSError(
                f"{inner} holds a language model that this decoder does not have; remove it, or save elsewhere"
            )
        return [str(path) for path in paths]
    return [str(path) for path in paths] + write_language_model(folder, language_model)


def write_language_model(folder: str | Path, language_model: LanguageModel) -> list[str]:
    """Write a decoder's folder ``language_model``: a copy of the model's file, or an ARPA file of one that was trained, the
    list of words, and the weights; returns the paths.

    Raises:
        OSError: where the folder holds another language model, or cannot be written to.
    """
    inner = Path(folder) / FOLDER
    model = language_model.model
    source = getattr(model, "path", None)
    if source is None and not isinstance(model, NGramModel):
        raise OSError(
            f"A language model of the type {type(model).__name__} that was not read from a file cannot be saved"
        )
    copy = inner / (trained_name(model.order) if source is None else _plain_name(source))
    check_no_other(folder, copy.name, source)
    inner.mkdir(parents=True, exist_ok=True)
    attributes, unigrams = inner / ATTRIBUTES, inner / UNIGRAMS
    write_json(attributes, language_model.weights())
    with write_atomically(unigrams) as temporary:
        text = "".join(f"{word}\n" for word in sorted(language_model.unigrams))
        temporary.write_text(text, encoding="utf-8", newline="\n")
    if isinstance(model, NGramModel) and source is None:
        model.write(copy)
    elif not any(path.samefile(source) for path in _model_files(inner)):
        _copy(source, copy)
    return [str(path) for path in (attributes, unigrams, *_model_files(inner))]


def trained_name(order: int) -> str:
    """What the file of a model that was trained is called."""
    return f"{order}gram.arpa"


def check_no_other(folder: str | Path, name: str, source: Path | None = None) -> None:
    """Make sure that a decoder's folder holds no language model but, perhaps, the one of that name or ``source`` itself.

    Raises:
        OSError: where it does.
    """
    inner = Path(folder) / FOLDER
    present = _model_files(inner) if inner.is_dir() else []
    others = [
        path for path in present if path.name != name and not (source is not None and path.samefile(source))
    ]
    if others:
        raise OSError(
            f"{inner} already holds the language model {others[0].name}; remove it, or save elsewhere"
        )


def _model_files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.name.endswith(ENDINGS) and not path.name.startswith(".")
    )


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _plain_name(source: Path) -> str:
    name = source.name.removesuffix(".gz") if _is_gzip(source) else source.name
    return name if name.endswith(ENDINGS) else f"{name}.arpa"


def _copy(source: Path, target: Path) -> None:
    with write_atomically(target) as temporary:
        if _is_gzip(source):
            with gzip.open(source, "rb") as packed, temporary.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        else:
            shutil.copyfile(source, temporary)


def _read_weights(path: Path) -> dict[str, Any]:
    weights = read_json(path)
    numbers = [weights.get(name) for name in WEIGHTS[:3]]
    good = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    if set(weights) != set(WEIGHTS) or not good or not isinstance(weights["score_boundary"], bool):
        raise OSError(
            f"{path} must hold the numbers {', '.join(WEIGHTS[:3])} and score_boundary, true or false, and nothing else"
        )
    return weights


def _read_unigrams(path: Path, encoding: str) -> list[str]:
    size = path.stat().st_size
    if size > MAX_UNIGRAMS_BYTES:
        raise OSError(f"{path} has {size} bytes, more than any list of words ({MAX_UNIGRAMS_BYTES} at most)")
    try:
        return path.read_text(encoding=encoding).splitlines()
    except (UnicodeDecodeError, LookupError) as error:
        raise OSError(
            f"{path} cannot be read as {encoding} ({error}); write it as UTF-8, or pass unigram_encoding="
        ) from None
