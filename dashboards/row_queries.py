"""The tables of a run's trades, account and positions, a page of rows at a time, sorted and narrowed down by DuckDB.

Times come back as naive UTC.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from dashboards.queries import Connection, Rows, Run, frame

PAGE = 25
"""Rows of a page of a table."""

MOST_ROWS = 200_000
"""Rows that a download has: of more the first, in the order of the table."""


class Wanted(NamedTuple):
    """Which rows of a table: those with these words, in this order, on this page from 0."""

    text: str = ""
    order: str = ""
    """Key of the column that sorts, after a minus where it falls; another text means the table's own order."""
    page: int = 0


class Found(NamedTuple):
    """A page of rows, and how many rows there are on all pages."""

    total: int
    rows: Rows


TRADE_COLUMNS = {
    "trade": "trade_id", "symbol": "symbol", "side": "side", "entry": "entry_ts", "exit": "exit_ts", "amount": "amount",
    "entry_price": "entry_price", "exit_price": "exit_price", "profit": "profit", "return": '"return"',
    "fees": "fees", "bars": "bars_held", "worst": "worst_excursion", "best": "best_excursion", "reason": "exit_reason",
}  # fmt: skip
"""What sorts the table of trades, by key."""

ACCOUNT_COLUMNS = {
    "ts": "ts", "cash": "cash", "position": "position", "price": "price", "holding": "position * price",
    "equity": "equity", "drawdown": "drawdown",
}  # fmt: skip
"""What sorts the table of the account, by key."""

POSITION_COLUMNS = {"ts": "ts", "symbol": "symbol", "position": "position", "price": "price", "value": "value"}
"""What sorts the table of positions, by key."""

_TRADE_WORDS = """concat_ws(' ', '#' || trade_id, symbol, side, status,
    strftime(entry_ts AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'), strftime(exit_ts AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'),
    replace(coalesce(exit_reason, 'still open'), '_', ' '))"""
_ACCOUNT_WORDS = """strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M') ||
    if(position > 0, ' long', if(position < 0, ' short', ' flat'))"""

_POSITION_WORDS = (
    """strftime(ts AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M ') || symbol || if(position > 0, ' long', ' short')"""
)

_LESSON = """symbol AS "Stock", side AS "Side", entry_ts AS "Entry Date", exit_ts AS "Exit Date", amount AS "Shares",
    entry_price AS "Entry Share Price", exit_price AS "Exit Share Price", entry_holding AS "Entry Portfolio Holding",
    exit_holding AS "Exit Portfolio Holding", profit AS "Profit/Loss", "return" AS "Return", fees AS "Fees",
    coalesce(replace(exit_reason, '_', ' '), 'still open') AS "Exit Reason", trade_id, bars_held, worst_excursion,
    best_excursion, touches_gap, entry_order_id, exit_order_id"""


def trades(lake: Connection, run: Run, wanted: Wanted = Wanted()) -> Found:  # noqa: B008 - it is frozen
    """Return a page of the trades."""
    return page(lake, run, "trades", TRADE_COLUMNS, _TRADE_WORDS, wanted)


def account(lake: Connection, run: Run, wanted: Wanted = Wanted()) -> Found:  # noqa: B008 - it is frozen
    """Return a page of what the account was at each close."""
    return page(lake, run, "equity", ACCOUNT_COLUMNS, _ACCOUNT_WORDS, wanted)


def positions(lake: Connection, run: Run, wanted: Wanted = Wanted()) -> Found:  # noqa: B008 - it is frozen
    """Return a page of what was held of each market at each close, in a run of several."""
    return page(lake, run, "positions", POSITION_COLUMNS, _POSITION_WORDS, wanted)


def trades_whole(lake: Connection, run: Run, wanted: Wanted) -> pa.Table:
    """Return the trades that have the wanted words, in the wanted order, first under the lesson's headings."""
    return whole(lake, run, f"SELECT {_LESSON} FROM trades", TRADE_COLUMNS, _TRADE_WORDS, wanted)  # noqa: S608


def account_whole(lake: Connection, run: Run, wanted: Wanted) -> pa.Table:
    """Return the account at the closes that have the wanted words, in the wanted order."""
    columns = "ts, cash, position, price, position * price AS holding, equity, drawdown"
    return whole(lake, run, f"SELECT {columns} FROM equity", ACCOUNT_COLUMNS, _ACCOUNT_WORDS, wanted)  # noqa: S608


def positions_whole(lake: Connection, run: Run, wanted: Wanted) -> pa.Table:
    """Return the positions that have the wanted words, in the wanted order."""
    columns = ", ".join(POSITION_COLUMNS.values())
    return whole(lake, run, f"SELECT {columns} FROM positions", POSITION_COLUMNS, _POSITION_WORDS, wanted)  # noqa: S608


def page(lake: Connection, run: Run, table: str, columns: dict[str, str], words: str, wanted: Wanted) -> Found:
    """Return a page of a run's rows; `columns` sort them by key, `words` is what is searched, both as SQL."""
    condition, values = _condition(run, words, wanted.text)
    count = lake.execute(f"SELECT count(*) FROM {table} WHERE {condition}", values).fetchall()[0][0]  # noqa: S608
    told = ", ".join(f'{_plain(source)} AS "{key}"' for key, source in columns.items())
    order = _order_by(columns, wanted.order)
    rows = frame(  # ordered by what is stored: DuckDB then passes over the parts that cannot be on the page
        lake,
        f"""SELECT {told} FROM (
            SELECT * FROM {table} WHERE {condition} ORDER BY {order} LIMIT {PAGE} OFFSET {wanted.page * PAGE}
        ) ORDER BY {order}""",  # noqa: S608
        values,
    )
    return Found(int(count), rows)


def whole(lake: Connection, run: Run, select: str, columns: dict[str, str], words: str, wanted: Wanted) -> pa.Table:
    """Return all of a run's rows that have the wanted words, as `select` has them, in the wanted order."""
    condition, values = _condition(run, words, wanted.text)
    order = _order_by(columns, wanted.order)
    return lake.sql(f"{select} WHERE {condition} ORDER BY {order} LIMIT {MOST_ROWS}", params=values).to_arrow_table()


def _condition(run: Run, words: str, text: str) -> tuple[str, list[object]]:
    wanted = text.lower().split()
    conditions = ["run_id = ?", *(f"contains(lower({words}), ?)" for _ in wanted)]
    return " AND ".join(conditions), [run.run_id, *wanted]


def _order_by(columns: dict[str, str], order: str) -> str:
    """Return the columns that sort: the wanted one, and the table's first to tell equals apart."""
    own = next(iter(columns.values()))
    key, falls = order.removeprefix("-"), order.startswith("-")
    if key not in columns:
        return own
    return f"{columns[key]} {'DESC' if falls else 'ASC'} NULLS LAST, {own}"


def _plain(source: str) -> str:
    return f"{source} AT TIME ZONE 'UTC'" if source.endswith("ts") else source
