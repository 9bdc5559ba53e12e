"""What training changes in a model, and what it keeps in memory for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras

from tfwav2vec2.backbone.compiled_call import configure

if TYPE_CHECKING:
    _Base = keras.Model
else:
    _Base = object


class Trainable(_Base):
    """Gives a model the ways to choose what it learns by."""

    def freeze_feature_encoder(self) -> None:
        """Keep the waveform's convolutions as they are in training (reference: ``freeze_feature_encoder``)."""
        backbone_of(self).feature_extractor.trainable = False

    def train_only(self, weights: Iterable[keras.Variable]) -> None:
        """Let training change some of the model's weights alone; call it before ``compile``.

        The flags are set weight by weight: a frozen layer would freeze all that is inside it.
        """
        chosen = {id(weight) for weight in weights}
        # Keras passes the flag on where it changes. All layers are to be on, and so is every weight that can train.
        self.trainable = False
        self.trainable = True
        for weight in self.weights:
            weight.trainable = weight.trainable and id(weight) in chosen

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether training computes the layers' insides a second time rather than keeping them."""
        return bool(backbone_of(self).encoder.gradient_checkpointing)

    def gradient_checkpointing_enable(self) -> None:
        """Train in less memory and more time: what is inside a layer is computed again for its gradient, not kept.

        The gradients are the same, dropout included. Applies to the encoder's layers and to the convolutions that are
        not frozen (reference: ``gradient_checkpointing_enable``).
        """
        self._checkpoint_gradients(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything for the gradient again, as a new model does."""
        self._checkpoint_gradients(False)

    def _checkpoint_gradients(self, enabled: bool) -> None:
        backbone = backbone_of(self)
        backbone.encoder.gradient_checkpointing = enabled
        backbone.feature_extractor.gradient_checkpointing = enabled
        # The step that fit has traced is one of the other kind.
        self.train_function = None

    def forget_compiled(self) -> None:
        """Drop every compiled function, which holds the weights that it was made with; fit then asks for compile()."""
        configure(self, None, None)
        self.train_function = self.test_function = self.predict_function = None
        self.compiled = False


# Functions rather than properties: to save a model Keras looks at every attribute for what there is to save.
def backbone_of(model: Any) -> Any:
    """A model without its head; the model itself where it has none."""
    return getattr(model, "wav2vec2", model)


def head_weights(model: Any) -> list[keras.Variable]:
    """The weights of a model that are not its backbone's."""
    inside = {id(weight) for weight in backbone_of(model).weights}
    return [weight for weight in model.weights if id(weight) not in inside]
