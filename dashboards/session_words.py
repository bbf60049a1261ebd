"""A session in words: what becomes of its orders, where it stands, how it is, and how it compares with its backtest."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pandas as pd

from dashboards.look import NONE, figure, number, part
from dashboards.metric_words import Words
from dashboards.parity_queries import Compared
from dashboards.queries import Rows, Run
from dashboards.row_words import tone
from dashboards.session_queries import STOPPED, Account, Arrival
from data.timeframe import parse_timeframe

MODES = {
    "paper": "Orders are simulated here at the prices of {exchange}: none is sent, and no money moves.",
    "practice": "Orders are sent to the practice exchange: no real money moves.",
    "live": "Real money: orders are sent to {exchange}.",
}
"""What each mode means."""

_QUIET = {"unchanged", "warm_up", "missed"}
"""Reasons to hold that are no hindrance."""

_LEEWAY = 15.0
"""Seconds, or a quarter of a candle where that is less, in which a candle that has closed may be decided."""

_UNITS = {"Profit": "quote", "Return": "fraction", "Fee": "quote", "Fees": "quote"}
"""Units of columns of `listing`; what has none is a price or an amount."""

_GAINS = ("Profit", "Return")
"""Columns of `listing` whose values have the colour of a gain or a loss."""


def banner(run: Run) -> str:
    """Return the mode in a word that cannot be overlooked, and what it means."""
    text = MODES[run.mode].format(exchange=run.exchange)
    return part("banner", mode=run.mode, text=text, session=f"{run.strategy} on {run.symbol} {run.timeframe}")


def title(run: Run) -> str:
    """Return the title of the browser's window."""
    return f"{run.mode.upper()} · {run.symbol} {run.timeframe} · jarvis"


def tiles(run: Run, account: Account, now: pd.Timestamp) -> str:
    """Return the headline at an instant (naive UTC): what the account is worth, how it moved, what it holds."""
    base, quote = run.symbol.partition("/")[::2]
    worth = None if account.price is None else account.position * account.price
    entry, price = account.entry, account.price
    gained = None if entry is None or price is None else account.position * (price - entry)
    share = None if entry is None or price is None else price / entry - 1
    cost = NONE if entry is None else f"{_percent(share)}, bought at {number(entry)}"
    day, today = account.equity - account.morning, account.equity - run.cash
    deepest = f"deepest {figure(account.deepest, 'fraction')}"
    decided = f"decided {_cell(account.decided_at)}" if account.candle else f"begins with {_cell(run.start_ts)}"
    candle = "none yet" if account.candle is None else f"{account.candle:{'%d %b' if _is_long(run) else '%H:%M'}}"
    shown = [
        ("equity", "Equity", figure(account.equity, "quote"), f"{quote}, from {figure(run.cash, 'quote')}",
         "What the account was worth at the last close.", ""),
        ("today", _day(account, now), _signed(day), f"{_percent(_ratio(day, account.morning))} since 00:00 UTC",
         "By how much the last close's equity is above that of the last close before its day.", _tone(day)),
        ("gain", "Since the start", _signed(today), _percent(_ratio(today, run.cash)),
         "By how much the last close's equity is above the cash at the start.", _tone(today)),
        ("unrealised", "Unrealised", _signed(gained), cost,
         "What the position would bring at the last close, less what it was bought for; fees are not in it.",
         _tone(gained)),
        ("drawdown", "Drawdown", figure(account.drawdown, "fraction"), deepest,
         "How far the equity stood below its highest at the last close.", ""),
        ("balance", "Balance", figure(account.cash, "quote"), quote, "Money that is left by all fills until now.", ""),
        ("position", "Position", number(account.position), f"{base}, worth {figure(worth, 'quote')}",
         "What is held by all fills until now.", ""),
        ("price", "Last close", number(price), quote, "Of the last candle that was decided.", ""),
        ("candle", "Last candle", candle, decided, "The last closed candle that was decided. Times are UTC.", ""),
        ("decision", "Last decision", account.action or "none", (account.reason or "").replace("_", " "),
         account.detail or "What was done at the last close, and why.", "bad" if account.reason in STOPPED else ""),
        ("fills", "Fills", f"{account.fills:,}", "since the start", "Orders that were filled, each part counted.", ""),
        ("candles", "Candles", f"{run.candles:,}", "decided", "Closed candles that have a decision.", ""),
    ]  # fmt: skip
    return part("tiles", tiles=[Words._make([*about, "", tone]) for *about, tone in shown])


def card(run: Run, account: Account, arrival: Arrival | None, now: pd.Timestamp) -> dict[str, Any]:
    """Return a session as the overview shows it at an instant (naive UTC)."""
    base, quote = run.symbol.partition("/")[::2]
    day = account.equity - account.morning
    return {
        "id": run.run_id,
        "mode": run.mode,
        "market": f"{run.symbol} {run.timeframe}",
        "strategy": run.strategy,
        "equity": f"{figure(account.equity, 'quote')} {quote}",
        "day": _day(account, now),
        "gain": f"{_signed(day)} ({_percent(_ratio(day, account.morning))})",
        "tone": _tone(day),
        "position": f"{number(account.position)} {base}",
        "stopped": (account.reason or "").replace("_", " ") if account.reason in STOPPED else "",
        **schedule(run, account, arrival),
    }


def schedule(run: Run, account: Account, arrival: Arrival | None) -> dict[str, float | None]:
    """Return when the last candle closed, when the next one does, a candle's length, and for how long it may take then.

    All are milliseconds. Where candles come by a clock of their own, `arrival` says when by this machine's.
    """
    step = parse_timeframe(run.timeframe).total_seconds() * 1000
    if account.candle is None:
        return {"closed": None, "due": None, "step": step, "leeway": 0.0}
    closed = pd.Timestamp(account.candle).timestamp() * 1000 + step
    if arrival is not None:
        behind = (pd.Timestamp(arrival.ts) - pd.Timestamp(account.candle)).total_seconds() * 1000 / step
        step = 1000 * arrival.rhythm if arrival.rhythm else step
        closed = pd.Timestamp(arrival.came).timestamp() * 1000 - behind * step
    return {"closed": closed, "due": closed + step, "step": step, "leeway": min(step / 4, _LEEWAY * 1000)}


def hindrance(account: Account) -> list[str]:
    """Return what kept the session from trading at its last decision; nothing where nothing did."""
    if account.action != "hold" or account.reason in _QUIET:
        return []
    reason, detail = (account.reason or "").replace("_", " "), account.detail or ""
    if account.reason in STOPPED:
        return [part("fault", title=f"Nothing is traded: {reason}", text=detail)]
    return [part("message", title=f"Nothing was done: {reason}", text=detail)]


def listing(rows: Rows, otherwise: str) -> str:
    """Return rows as a table under the names of their columns, or words where there are none.

    A row whose column `marked` is true stands out.
    """
    if rows.empty:
        return part("said", text=otherwise)
    marked = rows["marked"] if "marked" in rows else [False] * len(rows)
    told = rows.drop(columns="marked", errors="ignore")
    kinds = ["number" if kind.kind == "f" else "when" if kind.kind == "M" else "" for kind in told.dtypes]
    columns = [*zip(told.columns, kinds, strict=True)]
    cells = [[*map(_told, columns, row)] for row in told.itertuples(index=False, name=None)]
    return part("listing", heads=columns, rows=zip(marked, cells, strict=True))


def parity(run: Run, found: Compared, differing: Rows, theme: str) -> str:
    """Return the verdicts counted, and the newest candles in which the session did other than its backtest."""
    if not found.counts:
        return part("said", text="not compared yet:", command=f"jarvis parity {run.run_id}")
    later = (
        f"; {found.pending:,} {'candle' if found.pending == 1 else 'candles'} decided since" if found.pending else ""
    )
    counts = [(verdict, f"{n:,}") for verdict, n in found.counts.items()]
    address = "?" + urlencode({"page": "parity", "run": run.run_id, "theme": theme})
    counted = part("verdicts", counts=counts, remark=f"compared {_cell(found.compared_at)}{later}", address=address)
    shown = differing.rename(columns={"ts": "Candle (UTC)", "verdict": "Verdict", "detail": "Detail",
                                      "apart": "Equity apart (bp)"})  # fmt: skip
    return counted + listing(shown, "Every candle compared is as in the backtest.")


def _day(account: Account, now: pd.Timestamp) -> str:
    """Return the name of the day of the last candle."""
    if account.candle is None or account.candle.date() == now.date():
        return "Today"
    return f"{account.candle:%d %b}"


def _signed(value: float | None) -> str:
    if value is None or pd.isna(value):
        return NONE
    return f"{value:+,.2f}" if round(value, 2) else "0.00"


def _percent(share: float | None) -> str:
    if share is None or pd.isna(share):
        return NONE
    return f"{100 * share:+,.2f} %" if round(share, 4) else "0.00 %"


def _ratio(gain: float, start: float) -> float | None:
    return gain / start if start else None


def _tone(value: float | None) -> str:
    return "" if not value or not round(value, 2) else "good" if value > 0 else "bad"


def _is_long(run: Run) -> bool:
    return run.timeframe[-1] in "dwM"


def _told(column: tuple[str, str], value: Any) -> tuple[str, str]:
    """Return a value of a column in words, and its kind, with a tone where it is a gain or a loss."""
    name, kind = column
    look = f"{kind} {tone(value)}" if kind == "number" and name in _GAINS else kind
    return _cell(value, _UNITS.get(name, "")), look


def _cell(value: Any, unit: str = "") -> str:
    if value is None or pd.isna(value):
        return NONE
    if hasattr(value, "strftime"):
        return f"{value:{'%Y-%m-%d %H:%M:%S' if value.second else '%Y-%m-%d %H:%M'}}"
    if not isinstance(value, float):
        return str(value)
    return figure(value, unit) if unit else number(value)
