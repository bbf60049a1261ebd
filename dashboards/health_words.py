"""How a session is, in a few words each: halts, exchange, delay, clocks, gaps, orders in doubt, account."""

from __future__ import annotations

from typing import NamedTuple

from dashboards.look import part
from dashboards.queries import Rows, Run
from dashboards.session_queries import STOPPED, Account, Timing
from data.timeframe import parse_timeframe

APART = 2.0
"""Seconds; a session trades nothing while its clock and its exchange's differ by more."""

_ON_TIME = 60.0
"""Seconds, or a quarter of a candle where that is less, in which a candle that has closed is decided in time."""

_OF_ITS_WORK = {"trading", "exchange", "delay"}
"""Signs of what a session did at its last candle: that was well, but of one that is late nobody knows how it is now."""

_NEXT = "A halt is told of once a candle is decided after it."


class Sign(NamedTuple):
    """One thing that is well or not: a tone (good, warn, bad or muted), a word, and what it means."""

    name: str
    tone: str
    text: str
    meaning: str


def signs(told: list[Sign], *, late: bool) -> str:
    """Return signs as a row of lights with words; `late` says that the newest candle is."""
    past = _OF_ITS_WORK if late else set()
    shown = [sign._replace(tone="muted") if sign.tone == "good" and sign.name in past else sign for sign in told]
    return part("signs", signs=shown)


def unreadable(name: str, reason: str) -> Sign:
    """Return the sign of what cannot be read."""
    return Sign(name, "bad", f"{name.capitalize()} cannot be read", reason)


def trading(account: Account, timing: Timing) -> Sign:
    """Tell whether the session trades, and whether it did all day."""
    if account.reason is None:
        return Sign("trading", "muted", "No candle yet", _NEXT)
    if account.reason in STOPPED:
        reason = account.reason.replace("_", " ")
        return Sign("trading", "bad", f"Nothing is traded: {reason}", account.detail or "")
    if timing.stopped:
        text = f"Trades; {_many(timing.stopped, 'candle')} of the day without"
        return Sign("trading", "warn", text, "Candles of the day at which a halt or a failure kept it from trading.")
    meaning = f"Nothing kept it from trading at a candle of the day. {_NEXT}"
    return Sign("trading", "good", "No halt at the last candle", meaning)


def exchange(run: Run, account: Account) -> Sign:
    """Tell whether the exchange answered when the last candle was decided."""
    if account.reason is None:
        return Sign("exchange", "muted", f"{run.exchange}: not asked yet", "It is asked for its candles at each close.")
    if account.reason == "failed":
        return Sign("exchange", "bad", f"{run.exchange} could not be reached", account.detail or "")
    return Sign("exchange", "good", f"{run.exchange} answered at the last candle", "When it was decided.")


def delay(run: Run, timing: Timing) -> Sign:
    """Tell how long after the close the newest candle was decided, and whether any was missed."""
    meaning = "From the close of the newest candle that was decided in time to the decision, by the exchange's clock."
    if timing.longest is not None:
        meaning += f" The longest of the day: {_span(timing.longest)}."
    if timing.missed:
        text = f"{_many(timing.missed, 'candle')} of the day missed"
        return Sign("delay", "warn", text, f"They were recorded after a later one had closed. {meaning}")
    if timing.age is None:
        return Sign("delay", "muted", "Nothing decided yet", meaning)
    in_time = min(_ON_TIME, parse_timeframe(run.timeframe).total_seconds() / 4)
    tone = "good" if timing.age <= in_time else "warn"
    return Sign("delay", tone, f"Decided {_span(timing.age)} after the close", meaning)


def clock(run: Run, timing: Timing) -> Sign:
    """Tell what the lake knows of the difference between the exchange's clock and this machine's."""
    meaning = (
        "The lake does not record how far the clocks are apart. From when the newest candle entered it, by the "
        "machine's clock, to its decision, by the exchange's: the clock of the exchange is ahead by no more than this."
    )
    if timing.ahead is None:
        return Sign("clock", "muted", "Clocks not known", meaning)
    apart = f"{'+' if timing.ahead >= 0 else '-'}{_span(abs(timing.ahead))}"
    if run.exchange.startswith("practice"):
        return Sign("clock", "muted", f"Its own clock: {apart}", f"The practice exchange sets its own clock. {meaning}")
    tone = "good" if abs(timing.ahead) <= APART else "warn"
    return Sign("clock", tone, f"Clocks {apart} at most" if timing.ahead >= 0 else f"Clocks {apart}", meaning)


def gaps(facts: Rows) -> Sign:
    """Tell whether candles of the day are absent."""
    kinds = facts["Kind"].value_counts()
    absent = int(facts.loc[facts["Kind"] == "gap", "Of the day"].astype(int).sum())
    meaning = "What is known about the candles of the day is listed below."
    if absent:
        return Sign("gaps", "warn", f"{_many(absent, 'candle')} of the day absent", meaning)
    if len(kinds):
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        return Sign("gaps", "good", f"No gap; {told}", meaning)
    return Sign("gaps", "good", "No gap", "No candle of the day is absent, as far as the source was asked.")


def orders(found: Rows) -> Sign:
    """Tell whether the fate of an order is not known."""
    unknown, doubtful = int((found["State"] == "unknown").sum()), int(found["marked"].sum())
    meaning = "While the exchange may have an order or not, nothing else is sent for its market."
    if unknown:
        return Sign("orders", "bad", f"{_many(unknown, 'order')} of unknown outcome", meaning)
    if doubtful:
        return Sign("orders", "warn", f"{_many(doubtful, 'order')} under way", meaning)
    resting = f"{_many(len(found), 'order')} open, none unknown" if len(found) else "No unknown order"
    return Sign("orders", "good", resting, meaning)


def account(run: Run, compared: Rows) -> Sign:
    """Tell whether the account is as the ledger has it."""
    if compared.empty and run.kind == "paper":
        return Sign("account", "muted", "No account: on paper", "Only an account at an exchange is compared.")
    if compared.empty:
        return Sign("account", "muted", "Account not compared yet", "It is compared before each step.")
    unexplained = int(compared["marked"].sum())
    meaning = "The balances at the exchange against what the fills make; listed below."
    if unexplained:
        return Sign("account", "bad", f"{_many(unexplained, 'difference')} unexplained", meaning)
    return Sign("account", "good", "Account as expected", meaning)


def _span(seconds: float) -> str:
    """Write a duration in its largest unit, with one decimal below ten.

    >>> _span(2.345), _span(42.0), _span(5400.0), _span(200000.0)
    ('2.3 s', '42 s', '1.5 h', '2.3 d')
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
