"""The tiny model and the recordings of the transcriber's tests serve the command line too."""

from tests.transcription.conftest import recordings, tiny_folder, tiny_model

__all__ = ["recordings", "tiny_folder", "tiny_model"]
