"""What a run's manifest says that its account trades by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PARTS = ("costs", "sizing", "stops", "limits", "entries")


def terms_in(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of a backtest, by their names in `tasks.engine.rules.Terms`."""
    return {name: value for part in _PARTS for name, value in manifest[part].items()}
