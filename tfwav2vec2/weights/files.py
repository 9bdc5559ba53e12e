"""Files of a model's folder: found locally or on the hub, read within limits, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")

# The largest JSON file of a published wav2vec 2.0 model is a vocabulary of a few megabytes.
MAX_JSON_BYTES = 64 * 2**20


def take_hub_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Remove the options that :func:`find_file` takes from ``kwargs`` and return them."""
    return {name: kwargs.pop(name) for name in HUB_OPTIONS if name in kwargs}


def find_file(
    name_or_path: str | Path,
    filename: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str = "",
    required: bool = True,
) -> Any:
    """The path of a model's file, in a local folder or fetched from the hub.

    Args:
        name_or_path: a folder, or a name on the hub such as ``facebook/wav2vec2-base-960h``.
        filename: the file's name inside it.
        revision: branch, tag or commit on the hub; ``main`` by default.
        token: access token for private or gated models; True takes the one that was stored by a log-in.
        cache_dir: where downloads are kept; the hub library's own folder by default.
        local_files_only: look into the cache alone, never at the network.
        force_download: fetch again what the cache already holds.
        subfolder: a folder inside the model's folder.
        required: with False the answer for a file that does not exist is None.

    Returns:
        The ``Path``, or None.

    Raises:
        FileNotFoundError: where the model is there and the file is not (unless ``required`` is False).
        OSError: where the model cannot be found or reached.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        path = folder / subfolder / filename
        if path.is_file():
            return path
        if required:
            raise FileNotFoundError(
                f"The folder {str(path.parent)!r} holds no {filename}; give the folder of a model that was written "
                "by save_pretrained, or a name on the hub"
            )
        return None
    if folder.is_file():
        raise NotADirectoryError(
            f"{str(name_or_path)!r} is a file; give the folder that holds it together with its config.json"
        )
    options = {
        "revision": revision,
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
        "force_download": force_download,
        "subfolder": subfolder or None,
    }
    return _download(str(name_or_path), filename, options, required)


def _download(name: str, filename: str, options: dict[str, Any], required: bool) -> Path | None:
    from huggingface_hub import constants, errors, hf_hub_download

    revision = options["revision"] or "main"
    try:
        return Path(hf_hub_download(name, filename, **options))
    except errors.HFValidationError:
        raise FileNotFoundError(
            f"{name!r} is neither a folder on this machine nor a name on the hub such as "
            "'facebook/wav2vec2-base-960h'; check the spelling of the path"
        ) from None
    except errors.GatedRepoError:
        raise PermissionError(
            f"Access to {name!r} is restricted; accept its terms on the hub and pass token="
        ) from None
    except errors.RepositoryNotFoundError:
        raise FileNotFoundError(
            f"{name!r} is neither a folder on this machine nor a model on the hub; check the spelling, and pass "
            "token= if the model is private"
        ) from None
    except errors.RevisionNotFoundError:
        raise FileNotFoundError(
            f"The model {name!r} has no revision {revision!r}; pass an existing branch, tag or commit as revision="
        ) from None
    except errors.LocalEntryNotFoundError:
        cache_only = options["local_files_only"] or constants.HF_HUB_OFFLINE
        if not required and (cache_only or _known_absent(name, filename, options)):
            return None
        if cache_only:
            raise FileNotFoundError(
                f"{filename} of {name!r} (revision {revision!r}) is not in the local cache, and looking on the "
                "network was ruled out; load it once without local_files_only and without HF_HUB_OFFLINE"
            ) from None
        raise ConnectionError(
            f"{name!r} is no folder on this machine, its {filename} is not in the local cache, and the hub at "
            f"{constants.ENDPOINT} cannot be reached; check the path or the network, or pass local_files_only=True "
            "to use what the cache holds"
        ) from None
    except errors.EntryNotFoundError:
        if not required:
            return None
        raise FileNotFoundError(
            f"The model {name!r} (revision {revision!r}) has no file {filename}; check that it is a wav2vec 2.0 model"
        ) from None
    except network_errors() as error:
        raise ConnectionError(
            f"Fetching {filename} of {name!r} failed ({_first_line(error)}); check the network and try again"
        ) from error


def _known_absent(name: str, filename: str, options: dict[str, Any]) -> bool:
    """Whether the cache notes that the repository has no such file."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    inside = f"{options['subfolder']}/{filename}" if options["subfolder"] else filename
    found = try_to_load_from_cache(name, inside, cache_dir=options["cache_dir"], revision=options["revision"])
    return found is _CACHED_NO_EXIST


def network_errors() -> tuple[type[BaseException], ...]:
    """What a failed request raises: the hub library changed its HTTP client between its versions 0 and 1."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *HfHubHTTPError.__bases__)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        OSError: where the file cannot be read, is larger than ``MAX_JSON_BYTES`` or does not hold a JSON object.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise OSError(
            f"{path} has {size} bytes, more than any model's JSON file ({MAX_JSON_BYTES} at most); "
            "check that it is the right file"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise OSError(
            f"{path} is not valid JSON ({_first_line(error)}); download or write it again"
        ) from None
    if not isinstance(content, dict):
        raise OSError(
            f"{path} holds a JSON {type(content).__name__} where an object was expected; check that it is the right file"
        )
    return content


def write_json(
    path: str | Path, content: Any, *, sort_keys: bool = False, ensure_ascii: bool = False
) -> None:
    """Write ``content`` as indented JSON; a file that is there already is replaced only once all is written."""
    text = json.dumps(content, indent=2, sort_keys=sort_keys, ensure_ascii=ensure_ascii) + "\n"
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and rename it to ``path`` once all went well.

    After an error the temporary file is gone and what ``path`` held before is untouched. The rename waits until the
    new file is on the disk, so that a machine that loses its power keeps one of the two whole.
    """
    path = Path(path)
    # Not made from the name of the file, which may be as long as the file system allows.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class PushToHub:
    """Gives a class that has ``save_pretrained`` the method ``push_to_hub``."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **save_options: Any,
    ) -> Any:
        """Write everything that ``save_pretrained`` writes into a repository on the hub, which is made if need be.

        Args:
            repo_id: the name on the hub, such as ``user/my-model``.
            commit_message: what the commit says.
            private: whether a repository that is made now is private.
            token: an access token that may write; the one that was stored by a log-in by default.
            revision: the branch to commit to, which is made if need be; ``main`` by default.
            create_pr: open a pull request in place of committing directly.
            save_options: passed on to ``save_pretrained``.

        Returns:
            What the hub says of the commit (``huggingface_hub.CommitInfo``).

        Raises:
            OSError: where the hub refuses or cannot be reached.
        """
        from huggingface_hub import HfApi

        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **save_options)  # type: ignore[attr-defined]  # the class that mixes this in has it
            try:
                api = HfApi(token=token)
                repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                if revision is not None and not revision.startswith("refs/pr/"):
                    api.create_branch(repo_id, branch=revision, exist_ok=True)
                return api.upload_folder(
                    repo_id=repo_id,
                    folder_path=folder,
                    commit_message=commit_message or f"Upload {type(self).__name__}",
                    revision=revision,
                    create_pr=create_pr,
                )
            except (RuntimeError, *network_errors()) as error:
                raise OSError(
                    f"Writing to {repo_id!r} on the hub failed ({_first_line(error)}); check the name, the network, "
                    "and that token= may write to it"
                ) from error
