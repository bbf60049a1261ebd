"""Loads what the pages need before the first visitor comes: `panel serve ... --setup dashboards/setup.py`."""

from __future__ import annotations

from dashboards import app, charts  # noqa: F401
from dashboards.guard import stand_guard

stand_guard()
charts.rehearse()
