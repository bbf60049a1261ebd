"""The parameters of the flows: the same model for the command line, the Prefect form and Python."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator

from data.errors import BadInput, unknown
from data.timeframe import parse_timeframe
from tasks.engine.fees import read_tiers
from tasks.engine.rules import OnTimeout, OrderType, check_carry, check_entries
from tasks.engine.slippage import written

M = TypeVar("M", bound=BaseModel)

_NAMED = 4
"""So many symbols are named in titles."""

DEFAULT_FEE = 0.004
"""Kraken's taker fee in its lowest tier: what is assumed of a market whose fee is unknown."""


def _as_utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _timeframe(text: str) -> str:
    try:
        parse_timeframe(text)
    except BadInput as error:
        raise ValueError(str(error)) from None
    return text


Timeframe = Annotated[str, AfterValidator(_timeframe)]
Instant = Annotated[datetime, AfterValidator(_as_utc)]
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


def _slippage(given: str | float) -> str | float:
    try:
        return written(given)
    except BadInput as error:
        raise ValueError(str(error)) from None


SlippageModel = Annotated[str | float, AfterValidator(_slippage)]


def _check_detail(detail: str | None, timeframe: str) -> None:
    if detail is None:
        return
    whole, part = parse_timeframe(timeframe), parse_timeframe(detail)
    if part >= whole or whole % part:
        raise ValueError(f"detail {detail} does not go into candles of {timeframe}: give a finer one")


def _check_order(start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and start >= end:
        raise ValueError(f"start {start:%Y-%m-%d %H:%M} is not before end {end:%Y-%m-%d %H:%M}")


class Span(BaseModel):
    """Candles of an exchange, without their market."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exchange: str = Field("sample", min_length=1, description="sample, an exchange of ccxt, or a name of your own.")
    timeframe: Timeframe = Field("1d", description="Length of a candle: 1m, 1h, 1d.")
    start: Instant | None = Field(None, description="First instant (UTC); empty: all there is.")
    end: Instant | None = Field(None, description="Instant before which the series ends (UTC); empty: all there is.")

    @model_validator(mode="after")
    def _start_before_end(self) -> Self:
        _check_order(self.start, self.end)
        return self


class Series(Span):
    """A series of candles."""

    symbol: str = Field("AAPL", min_length=1, description="Market, such as BTC/USD; the sample has AAPL.")


class Trading(BaseModel):
    """What is traded, with how much, and within which limits: the same for backtest, paper and live."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str = Field("sma_crossover", description="Name of a strategy, or path/to/file.py:Class.")
    params: dict[str, float | int | bool | str] = Field(
        default_factory=dict, description='Parameters of the strategy: {"fast": 50, "slow": 100}.'
    )
    cash: float = Field(100_000.0, gt=0, allow_inf_nan=False, description="Money at the start.")
    fraction: float = Field(1.0, gt=0, le=1, description="Share of the equity that a full signal puts in.")
    amount: Positive | None = Field(None, description="Fixed amount of a full signal, instead of the fraction.")
    fee: float | None = Field(None, ge=0, lt=1, description="Fee a side as a fraction; empty: the market's taker fee.")
    stop_loss: Share | None = Field(None, description="Leave when the price is this fraction against the entry.")
    take_profit: Positive | None = Field(
        None, description="Leave when the price is this fraction in favour of the entry."
    )
    trailing_stop: Share | None = Field(None, description="Leave when the price is this fraction off its best.")
    max_position: Positive | None = Field(
        None, description="Most that an entry may bring the position to, in quote currency."
    )
    max_order: Positive | None = Field(None, description="Most that an order to enter may cost, in quote currency.")
    max_orders_a_day: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Orders a UTC day after which nothing is entered until the next."
    )
    daily_loss: Share | None = Field(
        None, description="Loss of equity in a UTC day, as a fraction, at which all is sold until the next."
    )
    max_drawdown: Share | None = Field(
        None, description="Drawdown from the highest equity at which all is sold, for good."
    )
    cooldown: int = Field(0, ge=0, description="Candles after an exit by a stop in which nothing is entered.")
    max_deviation: Share | None = Field(
        None, description="Enter only while the price is within this fraction of the close that was decided on."
    )
    max_signal_age: Positive | None = Field(
        None, description="Seconds after its candle's close until which a signal to enter is acted on."
    )

    def fee_at(self, taker: float | None) -> float:
        """Return the fee a side: the one asked for, else the market's taker fee, else a pessimistic one."""
        asked = taker if self.fee is None else self.fee
        return DEFAULT_FEE if asked is None else asked


class Entering(Trading):
    """What backtests have beside: orders that wait, positions that end, costs by size and by time.

    A session's limit orders wait for seconds instead, and its costs are what they are.
    """

    slippage: SlippageModel = Field(
        0.0005,
        description="Price paid worse than the market's: 0.0005, spread:0.0004, volume:0.1, sqrt:0.7 or a sum by +.",
    )
    maker_fee: float | None = Field(
        None, ge=0, lt=1, description="Fee of entries that have waited at a limit; empty: the market's, or the fee."
    )
    fee_tiers: tuple[str, ...] = Field(
        (), description="Fees from so much traded in 30 days on, volume:maker:taker as in 10000:0.002:0.0035."
    )
    borrow: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Yearly rate that a short position pays for what it has borrowed."
    )
    funding: float | None = Field(
        None,
        gt=-1,
        lt=1,
        description="Rate that longs pay to shorts at each time of funding; below 0: the other way.",
    )
    funding_hours: float = Field(8.0, gt=0, le=24, description="Hours between two times of funding, from midnight on.")
    max_volume: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Fraction of a candle's volume that is filled in it at most; orders go on candle after candle.",
    )
    order_type: OrderType = Field("market", description="How a position is entered; exits are market.")
    limit_offset: float = Field(
        0.0, ge=0, lt=1, description="Fraction by which a limit price is better than the close that was decided on."
    )
    limit_bars: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Candles after which a limit order that is not filled is cancelled; empty: never."
    )
    on_timeout: OnTimeout = Field("cancel", description="What becomes of a limit order then.")
    max_bars: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Candles after which a position is sold, whatever the signal."
    )
    long_only: bool = Field(False, description="Take a signal to be short as one to hold nothing.")
    detail: Timeframe | None = Field(
        None, description="Length of finer candles of the lake that tell what comes first inside a candle, such as 1m."
    )

    @model_validator(mode="after")
    def _entries_can_be(self) -> Self:
        try:
            check_entries(self.order_type, self.limit_offset, self.limit_bars, self.on_timeout)
            check_carry(self.borrow, self.funding, self.funding_hours)
            read_tiers(self.fee_tiers)
        except BadInput as error:
            raise ValueError(str(error)) from None
        if self.fee_tiers and not (self.fee is None and self.maker_fee is None):
            raise ValueError("fee_tiers are given and a fee beside them: give one or the other")
        return self

    @property
    def only_alone(self) -> str | None:
        """What of it only the backtest of one market has, in a word; None where nothing is asked for."""
        asked = {
            "order_type limit": self.order_type == "limit",
            "maker_fee": self.maker_fee is not None,
            "max_volume": self.max_volume is not None,
            "detail": self.detail is not None,
        }
        return next((name for name, given in asked.items() if given), None)


class Backtesting(Entering, Span):
    """What backtests of one market and of many have in common."""

    refresh: bool = Field(False, description="Ask the exchange for newer candles first; else only if there are none.")

    @model_validator(mode="after")
    def _detail_fits(self) -> Self:
        _check_detail(self.detail, self.timeframe)
        return self


class BacktestParameters(Backtesting, Series):
    """All that decides a backtest."""


def _once(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(symbols)) < len(symbols):
        raise ValueError("name each of them once")
    return symbols


Symbol = Annotated[str, Field(min_length=1)]
Symbols = Annotated[tuple[Symbol, ...], Field(min_length=1), AfterValidator(_once)]


class PortfolioParameters(Backtesting):
    """All that decides a backtest of several markets on one account; of one market, a backtest."""

    symbols: Symbols = Field(("AAPL",), description="Market, such as BTC/USD; several share the cash.")
    weights: dict[str, Weight] = Field(
        default_factory=dict,
        description="Share of the equity that a symbol's full signal puts in, BTC/USD=0.6; without any, equal shares.",
    )
    rebalance_every: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Candles after which positions are brought back to their weights; empty: never."
    )
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="Share of the equity that a position may be off its weight by, when rebalanced."
    )
    gross: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Most that all positions may be worth, shorts too, over equity.",
    )

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.tolerance and self.rebalance_every is None:
            raise ValueError(f"tolerance {self.tolerance:g} needs rebalance_every: with 1 each candle is looked at")
        if self.amount is not None and self.alone is None:
            raise ValueError("amount is of no use to a portfolio: its weights are shares of the equity")
        asked = self.only_alone
        if asked and self.alone is None:
            raise ValueError(f"{asked} is of the backtest of one market: a portfolio has none, so leave it out")
        return self

    @property
    def named(self) -> str:
        """The symbols for people: all, or the first and how many more."""
        shown = self.symbols if len(self.symbols) <= _NAMED else self.symbols[: _NAMED - 1]
        more = len(self.symbols) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    @property
    def alone(self) -> BacktestParameters | None:
        """The same as a backtest of one market; None where it is of several, or asks for what only a portfolio has."""
        own = set(PortfolioParameters.model_fields) - set(Backtesting.model_fields) - {"symbols"}
        if len(self.symbols) > 1 or any(getattr(self, name) for name in own - {"gross"}) or self.gross != 1.0:
            return None
        common = {name: getattr(self, name) for name in Backtesting.model_fields}
        return BacktestParameters(symbol=self.symbols[0], **common)


class LiveParameters(Trading):
    """A live session: one account a symbol, each with its share of the cash. Spot markets, long only."""

    slippage: float = Field(0.0005, ge=0, lt=1, description="Price paid worse than the market's, as a fraction.")
    exchange: str = Field("practice", min_length=1, description="An exchange of ccxt, or practice.")
    symbols: Symbols = Field(("BTC/USD",), description="Markets, such as BTC/USD; the cash is split evenly.")
    timeframe: Timeframe = Field("1m", description="Length of a candle: 1m, 1h, 1d.")
    mode: Literal["paper", "live"] = Field(
        "paper", description="paper: orders are simulated here; live: they are sent."
    )
    order_type: Literal["market", "limit"] = Field("market", description="How a position is entered; exits are market.")
    limit_timeout: Positive = Field(
        30.0, description="Seconds after which a limit order that is not filled is cancelled."
    )
    on_timeout: Literal["cancel", "market"] = Field("cancel", description="What becomes of what it did not fill.")
    protective_stops: bool = Field(True, description="Place stops at the exchange, where it has them.")
    dead_man: bool = Field(True, description="Renew the exchange's dead man's switch each run, where it has one.")
    history: int = Field(500, ge=2, le=100_000, description="Candles before the session that strategies see.")


class CollectParameters(BaseModel):
    """What to bring into the lake, and from where; what a file says of itself need not be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exchange: str | None = Field(None, min_length=1, description="Exchange of ccxt, sample, or a file's name of yours.")
    symbol: str | None = Field(None, min_length=1, description="Market, such as BTC/USD.")
    timeframe: Timeframe | None = Field(None, description="Length of a candle: 1m, 1h, 1d.")
    start: Instant | None = Field(None, description="First instant (UTC); empty: as far as the source goes.")
    end: Instant | None = Field(None, description="Instant before which it ends (UTC); empty: now.")
    file: Path | None = Field(None, description="CSV, Parquet or ZIP file to import; empty: ask the exchange.")
    calendar: str | None = Field(
        None, description="When a file's market trades: 24/7, 24/5, a stock exchange such as XNYS; empty: inferred."
    )
    again: bool = Field(False, description="Ask for the whole range, not only for what the lake lacks.")


class Markets(BaseModel):
    """Series of candles: every symbol at every timeframe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exchange: str = Field("sample", min_length=1, description="sample, an exchange of ccxt, or a name of your own.")
    symbols: Symbols = Field(("AAPL",), description="Markets, such as BTC/USD; the sample has AAPL.")
    timeframes: Annotated[tuple[Timeframe, ...], Field(min_length=1), AfterValidator(_once)] = Field(
        ("1d",), description="Lengths of a candle: 1m, 1h, 1d."
    )
    start: Instant | None = Field(None, description="First instant (UTC); empty: all there is.")
    end: Instant | None = Field(None, description="Instant before which the series end (UTC); empty: all there is.")

    @model_validator(mode="after")
    def _start_before_end(self) -> Self:
        _check_order(self.start, self.end)
        return self


Objective = Literal["sharpe", "sortino", "return", "drawdown", "profit_factor"]
Sampler = Literal["tpe", "random", "qmc", "cmaes", "nsga2", "nsga3", "gp"]
Pruner = Literal["median", "halving", "hyperband"]


class SweepParameters(Entering, Markets):
    """Backtests of a strategy, and what of its parameters, markets and time is varied."""

    refresh: bool = Field(False, description="Ask the exchange for newer candles first; else only if there are none.")
    grid: dict[str, str] = Field(
        default_factory=dict, description="Values of a parameter: from:to:step as in fast=5:50:5, or fast=5,10,20."
    )
    random: Annotated[int, Field(ge=1)] | None = Field(None, description="Try so many sets of the grid, drawn by lot.")
    optuna: Annotated[int, Field(ge=1)] | None = Field(None, description="Let Optuna choose so many sets of the grid.")
    sampler: Sampler = Field("tpe", description="How Optuna chooses.")
    pruner: Pruner | None = Field(None, description="How Optuna gives up sets that begin badly; empty: not at all.")
    batch: int = Field(16, ge=1, le=10_000, description="Sets that Optuna is asked for at a time, to be tried at once.")
    storage: str | None = Field(
        None, min_length=1, description="Address of Optuna's storage, as sqlite:///study.db; empty: beside the lake."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of the draw, and of Optuna.")
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1), AfterValidator(_once)] = Field(
        ("sharpe",),
        description="sharpe, sortino, return, drawdown or profit_factor: what ranks the sets. Of several, the first.",
    )
    split: Share | None = Field(
        None, description="Share of the candles, from the first, that ranks the sets; the rest is out-of-sample."
    )
    walk_forward: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Tests, one after the other, on each of which the best set of the candles before is tried."
    )
    train: int = Field(3, ge=1, description="How many tests long the candles are that choose a set.")
    anchored: bool = Field(False, description="Let them begin with the first candle instead: ever more of them.")
    purge: int = Field(0, ge=0, description="Candles before each test that choose no set.")
    embargo: int = Field(0, ge=0, description="Further candles between those and the test.")
    best: int = Field(3, ge=0, le=100, description="How many of the best sets become runs of their own.")
    memory: ByteSize | None = Field(None, gt=0, description="Most memory that it may take, such as 1GB.")
    runner: Literal["local", "dask", "ray"] = Field("local", description="Where the sets are tried.")
    address: str | None = Field(
        None, min_length=1, description="Address of a cluster that runs, as 10.0.0.1:8786; empty: one on this machine."
    )

    @property
    def title(self) -> str:
        """The sweep's name in the Prefect UI."""
        return f"{self.strategy} on {', '.join(self.symbols)} {', '.join(self.timeframes)}"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        twice = next((name for name in self.grid if name in self.params), None)
        if twice is not None:
            raise ValueError(f"{twice}: it is varied and given a value too, so leave out one of the two")
        for timeframe in self.timeframes:
            _check_detail(self.detail, timeframe)
        if self.random is not None and self.optuna is not None:
            raise ValueError("random: sets are drawn by lot or chosen by Optuna, not both")
        if self.optuna is None and (self.pruner is not None or self.storage is not None):
            raise ValueError(f"{'pruner' if self.pruner else 'storage'}: it is Optuna's, so say optuna=N too")
        if self.pruner is not None and len(self.objectives) > 1:
            raise ValueError("pruner: Optuna prunes by one objective alone")
        if self.optuna is not None and self.walk_forward is not None and len(self.objectives) > 1:
            raise ValueError("objectives: before a walk-forward Optuna searches by one objective alone")
        if self.walk_forward is not None and self.split is not None:
            raise ValueError("split: a walk-forward has splits of its own, so choose one of the two")
        if self.walk_forward is None and (self.anchored or self.purge or self.embargo):
            named = next(name for name in ("anchored", "purge", "embargo") if getattr(self, name))
            raise ValueError(f"{named}: it is a walk-forward's, so say walk_forward=N too")
        if self.address is not None and self.runner == "local":
            raise ValueError("address: it is a cluster's, so say runner=dask or runner=ray too")
        return self


def parse(model: type[M], values: Mapping[str, Any]) -> M:
    """Build parameters from what a person gave.

    Raises BadInput in one line, naming the first field that cannot be used, and the nearest one for a misspelt name.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise unknown("parameter", name, model.model_fields) from None
        what = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "value_error" else f" (given: {first['input']!r})"
        raise BadInput(f"{name}: {what}{given}" if name else what) from None
