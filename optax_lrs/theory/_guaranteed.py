"""Rates that come with a guarantee."""

from __future__ import annotations

from typing import Any, NamedTuple


class GuaranteedRates(NamedTuple):
    """Rates for a whole run, and the bound that they guarantee on the gap to the optimum."""

    lrs: Any  # shape [steps]; the last rate is zero
    bound: Any  # shape []; the gap at the last parameters is at most this
