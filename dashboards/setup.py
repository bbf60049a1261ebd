"""Loads what the pages need before the first visitor comes: `panel serve ... --setup dashboards/setup.py`."""

from __future__ import annotations

from dashboards import app, charts  # noqa: F401

charts.rehearse()
