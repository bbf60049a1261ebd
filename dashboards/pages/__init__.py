"""The pages, in the order of the navigation; a further page is a module here and a name in this list."""

from __future__ import annotations

from dashboards.pages.backtest import BacktestPage
from dashboards.pages.data import DataPage
from dashboards.pages.parity import ParityPage
from dashboards.pages.session import SessionPage
from dashboards.pages.sql import SqlPage
from dashboards.pages.sweep import SweepPage

PAGES = (BacktestPage, SweepPage, SessionPage, DataPage, ParityPage, SqlPage)
