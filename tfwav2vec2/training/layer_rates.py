"""Learning rates that differ from layer to layer, and layers that begin to learn later, for any Keras optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfwav2vec2.backbone.naming import name_of
from tfwav2vec2.training.one_pass_adam import fastest_update

if TYPE_CHECKING:
    _Base = keras.optimizers.Optimizer
else:
    _Base = object


def with_layer_rates(
    optimizer: keras.optimizers.Optimizer,
    model: keras.Model,
    rates: Mapping[str, float] | None = None,
    frozen_steps: Mapping[str, int] | None = None,
) -> keras.optimizers.Optimizer:
    """An optimizer like the given one, in which parts of the model have a rate, and a first step, of their own.

    Parts are named as :func:`~tfwav2vec2.backbone.naming.named_variables` names weights, by as many words as it takes:
    ``"wav2vec2"``, ``"wav2vec2.encoder.layers.11"``, ``"lm_head.bias"``. Where several fit a weight the longest counts.
    Decay of the weights follows the rate, as it does in the optimizer.

    Args:
        optimizer: any of Keras's that has not trained yet; it is left as it is. To scale the loss for float16, wrap the
            result in ``keras.optimizers.LossScaleOptimizer``, as ``compile`` does by itself.
        model: the model that will be trained, by which the names are checked.
        rates: what to multiply the learning rate by, above 0, such as :func:`layer_decay` gives; 1 elsewhere. To
            keep a part as it is for good, set its ``trainable`` to False: that saves time and memory too.
        frozen_steps: for how many of the optimizer's updates a part stays as it is, its moments too (fairseq's
            ``freeze_finetune_updates``: ``{"wav2vec2": 10_000}``). Adam's correction for its first steps then begins
            with the part's own first step. The gradients of the part are computed all the same, but count in no norm.

    Returns:
        An optimizer of the same kind, which is saved and loaded as any other.

    Raises:
        ValueError: for a name that no weight of the model has, a rate that is not above 0, a negative number of steps,
            or an optimizer that has trained, wraps another, or runs on the torch backend.
    """
    rates, frozen_steps = dict(rates or {}), dict(frozen_steps or {})
    _check_names(model, [*rates, *frozen_steps])
    return _extend(optimizer, rates, frozen_steps)


def layer_decay(model: keras.Model, factor: float) -> dict[str, float]:
    """Rates that shrink from the head down: 1 for the head, ``factor`` for the last layer, its square for the next.

    What lies below the layers (the convolutions, the projection, the positions) has the smallest, ``factor`` to the
    number of layers plus 1. Source: layer-wise decay as in ELECTRA (arXiv 2003.10555, appendix A).

    Args:
        model: a model with or without a head.
        factor: above 0 and at most 1; 0.9 is usual.

    Raises:
        ValueError: for another factor.
    """
    if not 0 < factor <= 1:
        raise ValueError(f"A layer's rate is a share of the rate above it, from 0 to 1; got {factor}")
    backbone = "wav2vec2." if hasattr(model, "wav2vec2") else ""
    layers = model.config.num_hidden_layers
    names = {name_of(weight) for weight in model.weights}
    below = ("masked_spec_embed", "feature_extractor", "feature_projection", "encoder")
    rates = {
        name: factor ** (layers + 1)
        for name in (backbone + part for part in below)
        if any(_covers(name, weight) for weight in names)
    }
    rates |= {f"{backbone}encoder.layers.{index}": factor ** (layers - index) for index in range(layers)}
    if model.config.do_stable_layer_norm:
        # There it stands after the last layer.
        rates[f"{backbone}encoder.layer_norm"] = factor
    return rates


def _covers(part: str, weight: str) -> bool:
    return weight == part or weight.startswith(f"{part}.")


def _check_names(model: keras.Model, parts: list[str]) -> None:
    names = [name_of(weight) for weight in model.weights]
    unknown = [part for part in parts if not any(_covers(part, name) for name in names)]
    if unknown:
        raise ValueError(
            f"{type(model).__name__} has no weights under {', '.join(map(repr, unknown))}; name a part as in "
            f"{names[0]!r} or {names[-1]!r}, by its first words"
        )


class LayerRates(_Base):
    """Mixed into an optimizer's class, before it: what each variable's update does differently."""

    if TYPE_CHECKING:
        _plain_class: type[keras.optimizers.Optimizer]

        _rates: dict[str, float]
        _frozen_steps: dict[str, int]

    # What holds while one variable is updated.
    _rate_now: Any = None
    _first_step_now: int = 0

    # --- what Keras's optimizers read ---------------------------------------------------------------------------

    @property
    def iterations(self) -> Any:
        """Updates so far; while a variable that was frozen is updated, those since its first."""
        done = super().iterations
        return ops.maximum(done - self._first_step_now, 0) if self._first_step_now else done

    def _get_current_learning_rate(self) -> Any:
        rate = super()._get_current_learning_rate()
        return rate if self._rate_now is None else rate * self._rate_now

    # --- what they do -------------------------------------------------------------------------------------------

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        if self.global_clipnorm:
            grads = [
                ops.where(self._learns(variable), gradient, ops.zeros((), gradient.dtype))
                if self._first_step(variable)
                else gradient
                for gradient, variable in zip(grads, trainable_variables, strict=True)
            ]
        super()._backend_apply_gradients(grads, trainable_variables)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            rate = self._rate(variable)
            if self._first_step(variable):
                rate = ops.where(self._learns(variable), rate, 0.0)
            with self._now(rate=rate):
                super()._apply_weight_decay([variable])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable at its own rate, unless it is frozen."""
        learning_rate = learning_rate * self._rate(variable)

        def update() -> None:
            fastest_update(self, self._plain_class)(gradient, variable, learning_rate)

        if not self._first_step(variable):
            return update()
        learns = self._learns(variable)
        with self._now(first_step=self._first_step(variable)):
            return self._update_if(learns, update, variable)

    def _update_if(self, condition: Any, update: Callable[[], None], variable: Any) -> None:
        """Do an update, which assigns to the variable and to the optimizer's own, or leave all as they are."""
        if keras.backend.backend() == "tensorflow":
            ops.cond(condition, update, lambda: None)
            return
        # A branch of JAX cannot assign: the update is made, and then taken back where it is not to be.
        changed = [variable, *self.variables]
        before = [item.value for item in changed]
        update()
        for item, old in zip(changed, before, strict=True):
            if item.value is not old:
                item.assign(ops.where(condition, item.value, old))

    # --- what is known of a variable ----------------------------------------------------------------------------

    @contextmanager
    def _now(self, rate: Any = None, first_step: int = 0) -> Iterator[None]:
        self._rate_now, self._first_step_now = rate, first_step
        try:
            yield
        finally:
            self._rate_now, self._first_step_now = None, 0

    def _name(self, variable: Any) -> str:
        # TensorFlow's update is given its own variable, which has no path.
        return name_of(self._trainable_variables[self._get_variable_index(variable)])

    def _rate(self, variable: Any) -> float:
        return _value_for(self._name(variable), self._rates, 1.0)

    def _first_step(self, variable: Any) -> int:
        return _value_for(self._name(variable), self._frozen_steps, 0)

    def _learns(self, variable: Any) -> Any:
        return super().iterations >= self._first_step(variable)

    # --- serialization ------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The plain optimizer and the parts, as data."""
        plain = self._plain_class.from_config(super().get_config())
        return {
            "optimizer": keras.saving.serialize_keras_object(plain),
            "rates": dict(self._rates),
            "frozen_steps": dict(self._frozen_steps),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that :meth:`get_config` described."""
        plain = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects)
        return _extend(plain, config["rates"], config["frozen_steps"])


def _value_for(name: str, values: Mapping[str, Any], default: Any) -> Any:
    """The value of the longest part that covers a weight."""
    parts = [part for part in values if _covers(part, name)]
    return values[max(parts, key=len)] if parts else default


def _extend(
    optimizer: keras.optimizers.Optimizer, rates: dict[str, float], frozen_steps: dict[str, int]
) -> keras.optimizers.Optimizer:
    """A new optimizer with the given one's settings, of a class that has its class and :class:`LayerRates` as bases."""
    _check_optimizer(optimizer)
    for part, rate in rates.items():
        if not rate > 0:
            raise ValueError(
                f"The rate of {part!r} is {rate}; it must be above 0 (set trainable=False to keep a part as it is)"
            )
    for part, steps in frozen_steps.items():
        if steps < 0:
            raise ValueError(f"{part!r} is frozen for {steps} steps; give the number of updates, 0 or more")
    plain_class = type(optimizer)
    extended = type("LayerRates", (LayerRates, plain_class), {"_plain_class": plain_class})
    # One name for all of them: from_config finds the plain optimizer's class in the configuration.
    keras.saving.register_keras_serializable(package="tfwav2vec2", name="LayerRates")(extended)
    # The plain class's way to make one: the extended class's own expects the parts too.
    result = super(LayerRates, extended).from_config(optimizer.get_config())
    result._rates, result._frozen_steps = rates, frozen_steps
    return result


def _check_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    kind = type(optimizer).__name__
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "Rates by layer need Keras's TensorFlow or JAX backend, where an optimizer updates one variable at a time; "
            f"the backend is {keras.backend.backend()!r}"
        )
    if isinstance(optimizer, LayerRates):
        raise ValueError(
            "The optimizer has rates by layer already; give all rates and frozen parts in one call"
        )
    if type(optimizer).update_step is keras.optimizers.Optimizer.update_step:
        raise ValueError(
            f"{kind} leaves the updates to the optimizers inside it; give the inner optimizer rates by layer, and wrap "
            "the result"
        )
    if optimizer.built:
        raise ValueError(f"This {kind} has trained already, and its state would be lost; give a new one")
