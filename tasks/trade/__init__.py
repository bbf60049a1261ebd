"""The trade stage: the account, and what is done to it."""

from __future__ import annotations

from pandas import DataFrame

from data.writer import Lake
from tasks.stage import stage
from tasks.trade.account import Account, open_account
from tasks.trade.broker import Broker
from tasks.trade.decision import Decision
from tasks.trade.desk import Desk, Seen, SessionRun, open_desk
from tasks.trade.execution import settle
from tasks.trade.step import Step

__all__ = ["Account", "execute_trade_strategy", "initialize", "resume"]


@stage(name="initialize")
def initialize(cash: float) -> Account:
    """Return the account with which a run starts: `cash` in quote currency and no position."""
    return open_account(cash)


@stage(name="initialize")
def resume(lake: Lake, run: SessionRun, broker: Broker, kept: Desk | None = None) -> Desk:
    """Open the ledger of a session, and settle with the broker what the run before left open or in doubt.

    `kept` is the desk of the step before, in a process that has had the session to itself since. What cannot be settled
    blocks the desk. Raises LakeError where the ledger cannot be read or written, ExchangeError where the market is not
    known.
    """
    if kept is None:
        desk = open_desk(lake, run, broker)
    else:
        desk = kept
        desk.begin()
    settle(desk)
    return desk


@stage(name="execute_trade_strategy", retries=0)
def execute_trade_strategy(desk: Desk, candles: DataFrame, signals: DataFrame, seen: Seen) -> list[Decision]:
    """Decide each closed candle once, and trade at the newest; return the new decisions, oldest first.

    `candles` go from the start of the session's history to the newest closed one, `signals` are those of all of them.
    Whatever the process is killed at, the same call on a desk opened anew goes on where it was: no decision makes a
    second order. Raises LakeError where the ledger cannot be written, also when another process has the session.
    """
    if candles.loc[desk.run.start :].empty:
        return []
    return Step(desk, candles, signals, seen).run()
