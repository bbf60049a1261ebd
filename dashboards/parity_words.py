"""Parity in words: the verdict on a session, its key figures, its causes, and candles with session beside backtest."""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pandas as pd

from dashboards.look import NONE, figure, number, part
from dashboards.metric_words import Words
from dashboards.parity_queries import PENDING, VERDICTS, Candle, Cause, Compared, Standing
from dashboards.queries import Rows, Run

MEANINGS = {
    "data": "the candle was missed, came late, or was revised since",
    "signal": "on the same candles the strategy says something else today",
    "fill": "other fills, or at another price",
    "cost": "the same fills with another fee",
    "equal": "no difference of its own: what earlier ones led to",
    PENDING: "decided since the last comparison",
}
"""What each verdict says."""
_PAST = {"buy": "bought", "sell": "sold"}


class _Line(NamedTuple):
    """What session and backtest have of one thing, each in lines."""

    name: str
    live: list[str]
    backtest: list[str]
    differs: bool = False


def verdict(run: Run, found: Standing) -> str:
    """Return in a sentence how the session compares, and what to type where candles are not compared yet."""
    total, equal = sum(found.counts.values()), found.counts.get("equal", 0)
    title = f"{equal:,} of {_candles(total)} {'is' if equal == 1 else 'are'} as in the backtest"
    if equal == total:
        title = (
            "The only candle is as in the backtest" if total == 1 else f"All {total:,} candles are as in the backtest"
        )
    causes = _differing(found.counts)
    told = [f"{total - equal:,} differ{'s' if total - equal == 1 else ''}: {causes}."] if causes else []
    told.append(f"Compared {_when(found.compared_at)} UTC.")
    if found.pending:
        were = "was" if found.pending == 1 else "were"
        told.append(
            f"{_candles(found.pending)} {were} decided since and not compared yet. To compare all of them, run:"
        )
    commands = [f"jarvis parity {run.run_id}"] if found.pending else []
    return part("message", title=title, text=" ".join(told), commands=commands)


def never(run: Run) -> str:
    """Return how to compare a session that never was."""
    title = f"{run.strategy} on {run.symbol} {run.timeframe} was never compared with its backtest"
    text = f"{_candles(run.candles)} decided. This page fills by itself when they are compared. In the checkout, run:"
    if not run.candles:
        text = "It has decided nothing yet: once a candle has closed, run in the checkout:"
    return part("message", title=title, text=text, commands=[f"jarvis parity {run.run_id}"])


def tiles(run: Run, found: Standing) -> str:
    """Return the key figures."""
    total, equal = sum(found.counts.values()), found.counts.get("equal", 0)
    all_ = _all(found)
    money = run.symbol.partition("/")[2]
    shown = [
        ("equal", "As in the backtest", figure(equal / total, "fraction"), f"{equal:,} of {_candles(total)}",
         "Candles in which the session did to the last bit what its backtest does.", "good" if equal == total else ""),
        ("differ", "Differ", f"{total - equal:,}", _differing(found.counts) or "none",
         "Candles by the first cause of their difference.", "bad" if equal < total else ""),
        ("apart", "Distance now (bp)", signed(found.apart), f"widest {signed(found.widest)}",
         "How far the session's equity stands above the backtest's, in basis points of it, at the last candle "
         "where both are known.", ""),
        ("money", f"Distance now{f' ({money})' if money else ''}", signed(found.money), "session less backtest",
         "The same in money.", ""),
        ("slippage", "Slippage (bp)", signed(all_.slippage), f"mean of {all_.fills:,} fills",
         "By how much the session's fills were at a worse price than the backtest's.", ""),
        ("fees", f"More fees{f' ({money})' if money else ''}", signed(all_.fees), "than the backtest",
         "By how much the session's fees were higher than the backtest's.", ""),
    ]  # fmt: skip
    return part("tiles", tiles=[Words._make([*about, "", tone]) for *about, tone in shown])


def causes(run: Run, found: Standing) -> str:
    """Return the causes as a table, with what all of them come to."""
    money = run.symbol.partition("/")[2] or "money"
    heads = ["Cause", "Candles", f"Gained on the backtest ({money})", "Fills of both", "Slippage (bp)",
             f"More fees ({money})", "Meaning"]  # fmt: skip
    kinds = ["", *["number"] * 5, "when"]
    rows = [
        [cause.verdict, f"{cause.candles:,}", signed(cause.money), f"{cause.fills:,}",
         signed(cause.slippage), signed(cause.fees), MEANINGS.get(cause.verdict, "")]
        for cause in [*found.causes, _all(found)]
    ]  # fmt: skip
    cells = [(False, [*zip(row, kinds, strict=True)]) for row in rows]
    return part("listing", heads=[*zip(heads, kinds, strict=True)], rows=cells)


def options(rows: Rows) -> list[dict[str, str]]:
    """Return candles as the table lists them."""
    return [
        {"id": row["ts"].isoformat(), "ts": _when(row["ts"]), "verdict": str(row["verdict"]),
         "detail": _text(row["detail"]), "apart": signed(row["apart"])} for row in rows.to_dict("records")
    ]  # fmt: skip


def neighbours(picked: pd.Timestamp, found: list[Candle]) -> str:
    """Return candles, one of them picked, with what the session did beside what the backtest did."""
    groups = [
        ("Chosen", [candle for candle in found if candle.ts == picked]),
        ("Before it", [candle for candle in reversed(found) if candle.ts < picked]),
        ("After it", [candle for candle in found if candle.ts > picked]),
    ]
    told = [
        (title, [{**candle._asdict(), "ts": _when(candle.ts), "rows": _lines(candle)} for candle in candles])
        for title, candles in groups
        if candles
    ]
    return part("neighbours", groups=told)


def sessions(found: list[Compared], theme: str) -> str:
    """Return all sessions as a table that leads to each."""
    rows = []
    for one in found:
        run, total = one.run, sum(one.counts.values())
        address = "?" + urlencode({"page": "parity", "run": run.run_id, "theme": theme})
        numbers = {"candles": f"{run.candles:,}", "equal": f"{one.counts.get('equal', 0):,}" if total else NONE}
        words = {"market": f"{run.symbol} {run.timeframe}", "differ": _differing(one.counts) or NONE}
        compared = {"compared": _when(one.compared_at) if total else "", "pending": f"{one.pending:,}"}
        known = {"strategy": run.strategy, "kind": run.kind, "run_id": run.run_id, "apart": signed(one.apart)}
        rows.append({"address": address, **numbers, **words, **compared, **known})
    return part("sessions", rows=rows)


def signed(value: float | None) -> str:
    """Write a difference with two decimals and its sign.

    >>> signed(1234.5), signed(-0.001), signed(None)
    ('+1,234.50', '0.00', '\N{EN DASH}')
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{value:+,.2f}" if round(value, 2) else "0.00"


def _all(found: Standing) -> Cause:
    slipped = [(cause.slippage, cause.fills) for cause in found.causes if cause.slippage is not None]
    fills, fees = sum(weight for _, weight in slipped), [c.fees for c in found.causes if c.fees is not None]
    slippage = sum(value * weight for value, weight in slipped) / fills if fills else None
    total = sum(found.counts.values())
    return Cause("all", total, found.money, fills, slippage, math.fsum(fees) if fees else None)


def _lines(candle: Candle) -> list[_Line]:
    mine, its = candle.live_fills, candle.backtest_fills
    decided = [": ".join(filter(None, (candle.action, _plain(candle.reason)))), candle.explanation or ""]
    orders = candle.backtest_orders
    wanted = NONE if orders is None else f"{orders[0]['side']}: {_plain(orders[0]['reason'])}" if orders else "hold"
    return [
        _values("Signal", candle.live_signal, candle.backtest_signal),
        _Line("Decided", [line for line in decided if line] or [NONE], [wanted]),
        _Line("Ordered", [*map(_order, candle.live_orders)] or [NONE], [*map(_order, orders or [])] or [NONE]),
        _Line("Filled", _filled(mine, its), _filled(its, None), differs=_dealt(mine) != _dealt(its)),
        _values("Position", candle.live_position, candle.backtest_position),
        _values("Equity", candle.live_equity, candle.backtest_equity),
    ]


def _values(name: str, live: float | None, backtest: float | None) -> _Line:
    """Write two numbers with the digits that tell them apart."""
    write = number if number(live) != number(backtest) or live == backtest else repr
    return _Line(name, [write(live)], [write(backtest)], differs=live != backtest)


def _order(order: dict[str, Any]) -> str:
    price = f" {number(order['price'])}" if order["price"] is not None else ""
    return f"{order['side']} {number(order['amount'])} at {order['type']}{price}: {_plain(order['event'])}"


def _filled(fills: list[dict[str, Any]] | None, others: list[dict[str, Any]] | None) -> list[str]:
    """Write fills, each with how much worse its price is than that of the other side's, where that has one."""
    if fills is None:
        return ["not recorded: compare again"]
    told = []
    for n, fill in enumerate(fills):
        other = others[n] if others and n < len(others) else None
        line = f"{_PAST.get(fill['side'], fill['side'])} {number(fill['amount'])} at {number(fill['price'])}"
        line += f", fee {number(fill['fee'])}" + (f" ({_plain(fill['reason'])})" if fill["reason"] else "")
        told.append(line)
        if other is not None and other["side"] == fill["side"] and other["price"] and other["price"] != fill["price"]:
            worse = (1 if fill["side"] == "buy" else -1) * 1e4 * (fill["price"] / other["price"] - 1)
            told.append(f"{abs(worse):,.3g} bp {'worse' if worse > 0 else 'better'}")
    return told or [NONE]


def _dealt(fills: list[dict[str, Any]] | None) -> list[tuple[Any, ...]] | None:
    return (
        None if fills is None else [tuple(fill[name] for name in ("side", "amount", "price", "fee")) for fill in fills]
    )


def _differing(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} by {name}" for name in VERDICTS if name != "equal" and counts.get(name))


def _candles(count: int) -> str:
    return f"{count:,} candle{'' if count == 1 else 's'}"


def _when(time: Any) -> str:
    return NONE if time is None or pd.isna(time) else f"{time:%Y-%m-%d %H:%M}"


def _plain(text: str | None) -> str:
    return (text or "").replace("_", " ")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
