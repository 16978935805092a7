"""A hyper-parameter that follows another one, as AdamC's weight decay follows the rate."""

from __future__ import annotations

import dataclasses
from typing import Any

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import number, text

_OWNER = "Coupled"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coupled:
    r"""A hyper-parameter of :func:`with_hyperparams` that is proportional to another one.

    .. math:: \lambda_t = \text{value}(t)\,\frac{\eta_t}{\eta_\text{max}}

    :math:`\eta_t` is what the update uses: if :func:`with_schedule` replaces the rate,
    :math:`\lambda_t` follows.

    For weight decay, with the optimizers that multiply it by the rate as ``optax.adamw`` does,
    there are three forms. In an update the weights lose this share:

    ================================== ============= ===============================================
    share                              form          written as
    ================================== ============= ===============================================
    :math:`\lambda\eta_t`              AdamW         ``weight_decay=0.1``
    :math:`\lambda\eta_t^2/\eta_{max}` AdamC         ``weight_decay=Coupled(value=0.1)``
    :math:`\lambda(t)`                 independent   ``weight_decay=0.0``, then :func:`decay_weights`
    ================================== ============= ===============================================

    AdamC is for weights that a normalization follows. With AdamW their ratio of gradient to weight
    norm tends to :math:`\sqrt{2\lambda/\eta_t}` and grows as the rate decays; with AdamC it stays
    at :math:`\sqrt{2\lambda/\eta_\text{max}}`. Embeddings, norms and the last layer keep AdamW's
    form: give them another group of :func:`partition_by_path`.

    Args:
        value: what the hyper-parameter is where the other one is at its peak: a number, not
            negative, or a :class:`Schedule`. It is live: ``with_schedule(state, ...,
            path="weight_decay")`` replaces it, and the coupling stays.
        to: the name of the other hyper-parameter, which must be live and not coupled itself.
        peak: :math:`\eta_\text{max}`, positive. None: the ``peak`` of the other's schedule, or the
            ``value`` of a :class:`Constant`, when the optimizer is built. Schedules with neither
            need it. It stays when the other's schedule is replaced.

    Raises:
        TypeError: if ``value`` is neither a number nor a :class:`Schedule`, or ``to`` is not a
            string.
        ValueError: if ``value`` is negative, or ``peak`` is not positive.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from optax_lrs import Linear, with_hyperparams
        >>> lr = Linear(peak=0.5, total_steps=2)
        >>> tx = with_hyperparams(optax.adamw, learning_rate=lr, weight_decay=Coupled(value=0.1))
        >>> params = jnp.ones(2)
        >>> state = tx.init(params)
        >>> for _ in range(2):
        ...     _, state = tx.update(params, state, params)
        ...     print(state.hyperparams["learning_rate"], state.hyperparams["weight_decay"])
        0.5 0.1
        0.25 0.05

    References:
        Defazio, Why Gradients Rapidly Increase Near the End of Training, arXiv:2506.02285.
    """

    value: float | Schedule
    to: str = "learning_rate"
    peak: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, Schedule):
            object.__setattr__(self, "value", number(_OWNER, "value", self.value, low=0.0))
        text(_OWNER, "to", self.to)
        if self.peak is not None:
            object.__setattr__(self, "peak", number(_OWNER, "peak", self.peak, above=0.0))

    def peak_of(self, schedule: Schedule, name: str) -> Any:
        """Returns ``peak``, or that of the schedule that the argument ``name`` is coupled to."""
        if self.peak is not None:
            return self.peak
        found = getattr(schedule, "peak", getattr(schedule, "value", None))  # value: of a Constant
        if found is None:
            raise ValueError(
                f"{_OWNER}: the schedule of {self.to} has no peak, so {name} needs it: Coupled(value=...,"
                f" to={self.to!r}, peak=...); got {schedule!r:.80}"
            )
        return number(_OWNER, f"the peak of {self.to}", found, above=0.0)
