"""The names that the columns of speech corpora go by."""

from __future__ import annotations

from collections.abc import Collection

# In the order in which they are looked for.
USUAL_COLUMNS = {
    "audio": ("audio", "path", "file_name", "file", "audio_filepath", "wav", "filename"),
    "target": ("text", "sentence", "transcript", "transcription", "label", "intervals", "emotion", "class"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "id": ("id", "utterance_id", "utt_id"),
    "seconds": ("seconds", "duration"),
    "start": ("start", "offset"),
    "end": ("end",),
}


class ManifestError(ValueError):
    """A manifest or dataset that cannot be read; the message says where and names the remedy."""


def choose_columns(where: str, names: Collection[str], **asked: str | None) -> dict[str, str]:
    """The column that holds each part of an example, for those parts that have one.

    Args:
        where: what the columns belong to, for errors.
        names: the columns that there are.
        asked: columns that were named; the others go by their usual names.

    Raises:
        ManifestError: where a column that was named is missing, or there is none of audio.
    """
    listed = ", ".join(sorted(names))
    chosen = {}
    for part, usual in USUAL_COLUMNS.items():
        column = asked.get(part)
        if column is not None and column not in names:
            raise ManifestError(f"{where} has no column {column!r} ({part}); its columns are {listed}")
        if column is None:
            column = next((name for name in usual if name in names), None)
        if column is not None:
            chosen[part] = column
    if "audio" not in chosen:
        raise ManifestError(
            f"{where} has no column named {' or '.join(USUAL_COLUMNS['audio'][:3])}; name the column of audio by audio=: "
            f"the columns are {listed}"
        )
    return chosen
