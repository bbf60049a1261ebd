"""A live session opened: the market's data, the brokers and the runs, for one process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from data.errors import BadInput, Refused
from data.markets import Market
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.report import flow_run_id
from tasks.engine.rules import make_limits, make_rules
from tasks.exchange import TradingClient, trading_client
from tasks.exchange.dialect import FINEST
from tasks.exchange.lock import alone, patiently
from tasks.exchange.prices import public_prices
from tasks.exchange.trading import account_keys
from tasks.fetch.live import LiveMarket, live_market
from tasks.signal import Strategy
from tasks.signal.registry import code_hash, create
from tasks.signal.signals import warmup_of
from tasks.trade.broker import Broker
from tasks.trade.desk import Desk, Options, SessionRun
from tasks.trade.live import LiveBroker, check_permission, first_check
from tasks.trade.paper import PaperBroker, Prices, market_rules
from tasks.trade.session import begin, read_session, session_id

_KEY_PATIENCE = 30.0
"""Seconds to wait for another session that trades with the same key at the same boundary."""

_AGES = 2
"""Candles after which a signal to enter is too old, by default: what one step left undone the next still does."""

STOPS = ("stop_loss", "take_profit", "trailing_stop")
LIMITS = ("max_position", "max_order", "max_orders_a_day", "daily_loss", "max_drawdown", "cooldown", "max_deviation")


@dataclass
class Session:
    """What is opened once, for one step or for a stream of them."""

    lake: Lake
    parameters: LiveParameters
    strategy: Strategy
    market: LiveMarket
    runs: dict[str, SessionRun] = field(default_factory=dict)
    """One a symbol, as the next."""
    brokers: dict[str, Broker] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    """Those of the step before, of symbols that did not fail in it: nobody else writes to their ledgers."""
    trader: LiveBroker | None = None
    """The account at the exchange; None on paper."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Symbols that the exchange does not trade now, and why."""
    promised: dict[str, float] = field(default_factory=dict)
    """By quote currency: the cash of those symbols that begin with this process."""
    due: pd.Timestamp | None = None
    """The newest candle that was closed when the last step began; None where the exchange did not tell its time."""
    evaluated: float = float("-inf")
    """When metrics were computed last, by this process' own clock."""


@contextmanager
def opened(parameters: LiveParameters) -> Iterator[Session]:
    """Open what a session needs, and close it.

    Raises BadInput for what cannot be traded, before anything is sent; Taken when another process is at it.
    """
    strategy = create(parameters.strategy, parameters.params)
    refuse_short_history(strategy, parameters)
    if parameters.mode == "live":
        check_permission(parameters.exchange)
        account_keys(parameters.exchange)
    with ExitStack() as stack:
        market = stack.enter_context(live_market(parameters.exchange))
        session = Session(Lake.open(), parameters, strategy, market)
        market.check_timeframe(parameters.timeframe)
        markets = open_markets(session)
        if parameters.mode == "live":
            session.trader = LiveBroker(stack.enter_context(sole_client(parameters.exchange)))
            prices: Prices = session.trader
        else:
            prices = stack.enter_context(public_prices(parameters.exchange))
        for known in markets.values():
            admit(session, known, prices, stack)
        yield session


def open_markets(session: Session) -> dict[str, Market]:
    """Return the markets of a session; one that is halted is left out. Raises Refused when all of them are."""
    markets = {}
    for symbol in session.parameters.symbols:
        try:
            markets[symbol] = session.market.market(symbol)
        except Refused as error:
            session.left_out[symbol] = str(error)
            if len(session.left_out) == len(session.parameters.symbols):
                raise
    return markets


def admit(session: Session, market: Market, prices: Prices, stack: ExitStack) -> None:
    """Begin or resume one symbol's session, which is locked until the stack ends."""
    parameters, symbol = session.parameters, market.symbol
    terms = terms_of(parameters, session.strategy, market, session.trader.account if session.trader else None)
    run = session_id(terms)
    stack.enter_context(alone("sessions", run, f"session {run} of {symbol}: process {{}} is at it"))
    if read_session(session.lake, run) is None:
        refuse_small_cash(terms, prices, len(parameters.symbols))
        if session.trader is not None:
            terms["costs"]["fee"] = parameters.fee_at(float(session.trader.taker_fee(symbol)))
            quote = session.trader.rules(symbol).quote
            first_check(session.trader, symbol, terms["cash"], session.promised.get(quote, 0.0))
            session.promised[quote] = session.promised.get(quote, 0.0) + terms["cash"]
    manifest = begin(session.lake, terms, session.market.now(), parameters.history, flow_run_id())
    session.runs[symbol] = known = session_run(run, manifest)
    session.brokers[symbol] = session.trader or PaperBroker(
        prices, market_rules(market, known.rules.fee), known.rules.slippage
    )


def terms_of(parameters: LiveParameters, strategy: Strategy, market: Market, account: str | None) -> dict[str, Any]:
    """Return the manifest of one symbol's session, but for its beginning. `identity` is what makes it this session."""
    asked = parameters.model_dump(mode="json", exclude={"symbols", "history"})
    given = {"symbol": market.symbol, "cash": parameters.cash / len(parameters.symbols), "account": account}
    identity = asked | given | {"params": strategy.model_dump(mode="json")}
    age = parameters.max_signal_age or _AGES * parse_timeframe(parameters.timeframe).total_seconds()
    return {
        "kind": parameters.mode,
        "exchange": parameters.exchange,
        **given,
        "timeframe": parameters.timeframe,
        "strategy": strategy.name,
        "strategy_spec": parameters.strategy,
        "strategy_code": code_hash(strategy),
        "parameters": identity["params"],
        "costs": {"fee": parameters.fee_at(market.taker), "slippage": parameters.slippage},
        "sizing": {
            "fraction": parameters.fraction,
            "amount": parameters.amount,
            "amount_step": market.amount_step or float(FINEST),
            "min_amount": market.min_amount,
            "min_cost": market.min_cost,
        },
        "stops": {name: asked[name] for name in STOPS},
        "limits": {**{name: asked[name] for name in LIMITS}, "max_signal_age": age, "long_only": True},
        "options": {name: asked[name] for name in Options.__annotations__},
        "calendar": market.calendar,
        "identity": identity,
    }


def session_run(run: str, manifest: dict[str, Any]) -> SessionRun:
    """Return a recorded session as the trade stage takes it."""
    return SessionRun(
        run_id=run,
        mode=manifest["kind"],
        exchange=manifest["exchange"],
        symbol=manifest["symbol"],
        timeframe=manifest["timeframe"],
        cash=manifest["cash"],
        rules=make_rules(**manifest["costs"], **manifest["sizing"], **manifest["stops"]),
        limits=make_limits(**manifest["limits"]),
        options=Options(**manifest["options"]),
        start=pd.Timestamp(manifest["start"]),
        history_start=pd.Timestamp(manifest["history_start"]),
        code_version=manifest["code_version"],
        flow_run_id=flow_run_id(),
    )


def refuse_short_history(strategy: Strategy, parameters: LiveParameters) -> None:
    """Raise BadInput where the strategy's warm-up is longer than the history that it would see."""
    needed = warmup_of(strategy) + 1
    if needed > parameters.history:
        raise BadInput(
            f"{strategy.name} needs {needed} candles, and the history is {parameters.history}: "
            f"give a longer one (--history {2 * needed}) or smaller parameters"
        )


def refuse_small_cash(terms: dict[str, Any], prices: Prices, symbols: int) -> None:
    """Raise BadInput where a full signal would be less than the market takes; `symbols` share the cash."""
    sizing, symbol = terms["sizing"], terms["symbol"]
    price = float(prices.price(symbol).last)
    least = max((sizing["min_amount"] or 0.0) * price, sizing["min_cost"] or 0.0)
    order = sizing["amount"] * price if sizing["amount"] else terms["cash"] * sizing["fraction"]
    if order < least:
        raise BadInput(
            f"{symbol}: a full signal is worth {order:g}, and {terms['exchange']} takes {least:g} or more: "
            f"give more cash (it is shared by {symbols} symbols) or a larger fraction"
        )


@contextmanager
def sole_client(exchange: str) -> Iterator[TradingClient]:
    """Open the account at an exchange, waiting a while for another session that trades with the same key."""
    with patiently(lambda: trading_client(exchange), _KEY_PATIENCE) as trader:
        yield trader
