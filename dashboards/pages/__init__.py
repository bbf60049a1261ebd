"""The pages, in the order of the navigation; a further page is a module here and a name in this list."""

from __future__ import annotations

from dashboards.pages.backtest import BacktestPage
from dashboards.pages.data import DataPage
from dashboards.pages.session import SessionPage

PAGES = (BacktestPage, SessionPage, DataPage)
