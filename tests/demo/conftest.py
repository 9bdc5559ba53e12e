"""A tiny model stands in for the embedded one where only the demo's own steps are tested."""

from tests.transcription.conftest import tiny_folder, tiny_model

__all__ = ["tiny_folder", "tiny_model"]
