"""The entry of the dashboard: `panel serve dashboards/trading.py`, then http://127.0.0.1:5006/trading."""

from __future__ import annotations

import panel as pn

from dashboards.app import build_dashboard, update_dashboard
from dashboards.guard import stand_guard

stand_guard()  # without --setup this is the first visit of all, and holds from the next one on
pn.extension()

dashboard = build_dashboard()
update_dashboard(dashboard)
dashboard.servable()
