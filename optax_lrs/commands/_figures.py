"""Draws and saves figures without a display."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure


def save_figure(draw: Callable[[], Figure | SubFigure], path: str | os.PathLike[str]) -> None:
    """Saves a figure without a display, and prints the path.

    Args:
        draw: draws the figure; called once a backend without a display is set.
        path: the file; its ending gives the format.
    """
    import matplotlib

    matplotlib.use("Agg")
    figure: Any = draw()  # a SubFigure of the caller's axes would have no savefig
    figure.savefig(path, dpi=150)
    print(path)
