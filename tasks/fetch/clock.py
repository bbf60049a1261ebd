"""The clock of this machine, in one place so that a test can set it."""

from __future__ import annotations

import pandas as pd


def now() -> pd.Timestamp:
    """Return the present instant, UTC."""
    return pd.Timestamp.now("UTC")
