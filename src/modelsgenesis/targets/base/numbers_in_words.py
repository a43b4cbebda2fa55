"""Numbers as people read them."""

import math


def number(value: float) -> str:
    """Three digits, or a dash for what is undefined."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
