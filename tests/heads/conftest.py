"""The tiny models of the backbone's tests serve the heads too."""

from tests.backbone.conftest import tiny_model

__all__ = ["tiny_model"]
