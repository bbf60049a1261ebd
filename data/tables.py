"""The tables of the lake: name, grain, key, and each column's type, unit and meaning.

Times are UTC. Rates, returns and drawdowns are fractions (0.012, not 1.2). Prices are in quote currency a unit,
amounts in base currency (shares for a stock), money in quote currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

TEXT = pa.string()
FLOAT = pa.float64()
INT = pa.int64()
FLAG = pa.bool_()
TIME = pa.timestamp("us", "UTC")
NUMBERS = pa.map_(TEXT, FLOAT)
SERIES = pa.list_(pa.float32())
"""Numbers in order: half the bytes of `FLOAT`, and returns to seven digits."""


class Column(NamedTuple):
    """One column: its name, Arrow type, unit and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table of the lake; every row is one `grain`, found by its `key`."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    durable: bool = False
    """Fsynced before the write returns: what must survive a power cut."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in the order of the columns."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def of_a_run(self) -> bool:
        """Whether its rows belong to a run, and are seen only once the run is recorded."""
        return self.key[0] == "run_id" and self.name != "runs"


_SERIES = (
    Column("exchange", TEXT, "", "exchange as ccxt names it, sample, or the name given to a file's data"),
    Column("symbol", TEXT, "", "market, such as BTC/USD or AAPL"),
    Column("timeframe", TEXT, "", "length of a candle: 1m, 1h, 1d"),
)
_RUN = Column("run_id", TEXT, "", "the run; joins to runs")
_SYMBOL = Column("symbol", TEXT, "", "market that was traded")

_TABLES = (
    Table(
        name="candles",
        grain="exchange, symbol, timeframe, ts and revision",
        key=("exchange", "symbol", "timeframe", "ts", "revision"),
        partition=("exchange", "symbol", "timeframe"),
        sort=("ts", "revision"),
        columns=(
            *_SERIES,
            Column("ts", TIME, "UTC", "instant at which the candle opens"),
            Column("open", FLOAT, "quote", "first price"),
            Column("high", FLOAT, "quote", "highest price"),
            Column("low", FLOAT, "quote", "lowest price"),
            Column("close", FLOAT, "quote", "last price"),
            Column("volume", FLOAT, "base", "amount traded"),
            Column("trades", INT, "count", "trades in the candle; null where the source does not tell"),
            Column("fetched_at", TIME, "UTC", "instant at which this revision entered the lake"),
            Column(
                "revision", INT, "count", "0 as first seen; one more each time the source changed the closed candle"
            ),
            Column("superseded_at", TIME, "UTC", "instant at which a later revision replaced this one; null: current"),
        ),
    ),
    Table(
        name="markets",
        grain="exchange and symbol",
        key=("exchange", "symbol"),
        sort=("exchange", "symbol"),
        columns=(
            *_SERIES[:2],
            Column("base", TEXT, "", "currency, or share, that is traded"),
            Column("quote", TEXT, "", "currency of the price"),
            Column(
                "calendar",
                TEXT,
                "",
                "when it trades: 24/7, 24/5 (no weekends), or a stock exchange's calendar such as XNYS",
            ),
            Column("amount_step", FLOAT, "base", "amounts are multiples of it; null: unknown"),
            Column("price_step", FLOAT, "quote", "prices are multiples of it; null: unknown"),
            Column("min_amount", FLOAT, "base", "smallest order; null: unknown"),
            Column("min_cost", FLOAT, "quote", "smallest order by cost; null: unknown"),
            Column("maker", FLOAT, "fraction", "fee of the lowest tier for an order that rests; null: unknown"),
            Column("taker", FLOAT, "fraction", "fee of the lowest tier for an order that takes; null: unknown"),
            Column("updated_at", TIME, "UTC", "instant at which the row was read from the source"),
        ),
    ),
    Table(
        name="quality",
        grain="found fact about candles",
        key=("exchange", "symbol", "timeframe", "kind", "start_ts", "end_ts"),
        sort=("exchange", "symbol", "timeframe", "start_ts"),
        columns=(
            *_SERIES,
            Column("kind", TEXT, "", "gap, window, duplicate, revision, outlier or flat"),
            Column("start_ts", TIME, "UTC", "first candle that the fact covers"),
            Column("end_ts", TIME, "UTC", "last candle that the fact covers"),
            Column("candles", INT, "count", "how many candles it covers (for a gap: how many are absent)"),
            Column("detail", TEXT, "", "the fact in words"),
            Column("found_at", TIME, "UTC", "instant at which it was found"),
            Column(
                "resolved_at", TIME, "UTC", "instant at which it ceased to hold, as when a gap was filled; null: holds"
            ),
        ),
    ),
    Table(
        name="runs",
        grain="backtest, sweep, paper or live session",
        key=("run_id",),
        sort=("created_at",),
        columns=(
            Column("run_id", TEXT, "", "hash of the manifest"),
            Column("kind", TEXT, "", "backtest, sweep, paper or live: a session, whose rows go on"),
            *_SERIES[:1],
            Column("symbol", TEXT, "", "market that was traded; of several, their names: the manifest has all of them"),
            *_SERIES[2:],
            Column("strategy", TEXT, "", "name of the strategy"),
            Column("parameters", TEXT, "JSON", "parameters of the strategy"),
            Column("start_ts", TIME, "UTC", "first candle of the run, warm-up included"),
            Column("end_ts", TIME, "UTC", "last candle of the run"),
            Column("candles", INT, "count", "candles of the run"),
            Column("cash", FLOAT, "quote", "money at the start"),
            Column(
                "fee",
                FLOAT,
                "fraction",
                "fee a side of an order that takes: the highest where several symbols have several, the first of tiers",
            ),
            Column(
                "slippage",
                FLOAT,
                "fraction",
                "price paid worse than the market's, a side; what grows with the order's size is in the manifest",
            ),
            Column("data_fingerprint", TEXT, "sha256", "hash of the candles that the run saw"),
            Column("candles_version", INT, "", "version of the candles table that the run read"),
            Column("code_version", TEXT, "", "version of Jarvis and hash of the code that decides a result"),
            Column("seed", INT, "", "seed of whatever is random; null: nothing is"),
            Column("manifest", TEXT, "JSON", "all that decides the result; run_id is its hash"),
            Column("flow_run_id", TEXT, "", "Prefect flow run that wrote it; null: run without Prefect"),
            Column("created_at", TIME, "UTC", "instant at which the run was recorded"),
        ),
    ),
    Table(
        name="signals",
        grain="run, symbol and ts",
        key=("run_id", "symbol", "ts"),
        sort=("run_id", "symbol", "ts"),
        columns=(
            _RUN,
            _SYMBOL,
            Column("ts", TIME, "UTC", "candle at whose close the signal stood"),
            Column("close", FLOAT, "quote", "close of that candle"),
            Column("indicators", NUMBERS, "", "the strategy's indicators by name: indicators['fast']"),
            Column("signal", FLOAT, "fraction", "wanted position as a fraction of equity, -1 to 1; null: no signal"),
            Column("entry_exit", FLOAT, "fraction", "change of signal: above 0 a buy, below 0 a sell; null: no signal"),
        ),
    ),
    Table(
        name="orders",
        grain="event in the life of an order",
        key=("run_id", "order_id", "event"),
        sort=("run_id", "symbol", "ts"),
        durable=True,
        columns=(
            _RUN,
            _SYMBOL,
            Column("order_id", TEXT, "", "the order, unique in its run: its decision's candle, side and leg"),
            Column(
                "event", TEXT, "", "intent, sent, accepted, partially_filled, filled, cancelled, rejected or unknown"
            ),
            Column("ts", TIME, "UTC", "instant of the event; in a backtest the candle in which it happened"),
            Column("decision_ts", TIME, "UTC", "candle whose close decided the order; joins to signals"),
            Column("side", TEXT, "", "buy or sell"),
            Column("type", TEXT, "", "market, stop or limit"),
            Column("amount", FLOAT, "base", "amount ordered"),
            Column("price", FLOAT, "quote", "limit or stop price; null for a market order"),
            Column("reason", TEXT, "", "why it was made, see fills; for a rejected or cancelled order why it ended"),
            Column("leg", TEXT, "", "close, open or exit; null in a backtest, whose order_id ends with it"),
            Column("attempt", INT, "count", "from 1: how often this leg was ordered; null in a backtest, as the next"),
            Column("client_id", TEXT, "", "the id that the exchange was told: a UUIDv5 of run and order"),
            Column("exchange_id", TEXT, "", "the exchange's own id, once it is known"),
            Column("amount_exact", TEXT, "base", "the amount as the exchange was told it, a decimal"),
            Column("price_exact", TEXT, "quote", "the limit or stop price as the exchange was told it, a decimal"),
            Column("deadline", TIME, "UTC", "instant after which the exchange refuses it; null: none"),
            Column("filled_exact", TEXT, "base", "what is filled at this event, a decimal"),
        ),
    ),
    Table(
        name="fills",
        grain="fill",
        key=("run_id", "fill_id"),
        sort=("run_id", "symbol", "ts"),
        durable=True,
        columns=(
            _RUN,
            _SYMBOL,
            Column(
                "fill_id", TEXT, "", "the fill, unique in its run; in a backtest the order and the fill's number in it"
            ),
            Column("order_id", TEXT, "", "order that was filled; joins to orders"),
            Column("trade_id", INT, "count", "round trip that it belongs to, from 1; joins to trades"),
            Column("ts", TIME, "UTC", "instant of the fill; in a backtest the candle in which it happened"),
            Column("side", TEXT, "", "buy or sell"),
            Column("price", FLOAT, "quote", "price paid or received, slippage included"),
            Column("amount", FLOAT, "base", "amount bought or sold, above 0"),
            Column("fee", FLOAT, "quote", "fee paid, above or equal 0"),
            Column("fee_currency", TEXT, "", "currency of the fee; null: the quote currency"),
            Column("liquidity", TEXT, "", "maker, of an order that waited for its price, or taker"),
            Column(
                "reason",
                TEXT,
                "",
                "signal, rebalance, stop_loss, take_profit, trailing_stop or ruin; daily_loss, drawdown, time, flatten",
            ),
            Column("price_exact", TEXT, "quote", "the price as the exchange told it, a decimal; null in a backtest"),
            Column("amount_exact", TEXT, "base", "the amount as the exchange told it, a decimal"),
            Column("fee_exact", TEXT, "fee_currency", "the fee as the exchange told it, a decimal"),
        ),
    ),
    Table(
        name="decisions",
        grain="run, symbol and ts: every closed candle of a paper or live session",
        key=("run_id", "symbol", "ts"),
        sort=("run_id", "symbol", "ts"),
        durable=True,
        columns=(
            _RUN,
            _SYMBOL,
            Column("ts", TIME, "UTC", "candle at whose close was decided"),
            Column("decided_at", TIME, "UTC", "instant of the decision, by the exchange's clock"),
            Column("action", TEXT, "", "buy, sell or hold"),
            Column("reason", TEXT, "", "one word: signal, unchanged, warm_up, missed, stale, limit, halted ..."),
            Column("detail", TEXT, "", "the reason in words"),
            Column("close", FLOAT, "quote", "close of the candle"),
            Column("signal", FLOAT, "fraction", "what the strategy wants; null: no signal"),
            Column("target", FLOAT, "fraction", "the signal acted on last, this decision included"),
            Column("position", FLOAT, "base", "amount held before"),
            Column("price", FLOAT, "quote", "price of the market when decided; null where none was asked for"),
            Column("amount", FLOAT, "base", "amount ordered; null: nothing was"),
            Column("order_id", TEXT, "", "the order that was made; joins to orders; null: none"),
            Column("age", FLOAT, "seconds", "from the close of the candle to the decision"),
            Column("candles", INT, "count", "candles that the signal was computed from"),
            Column("data_fingerprint", TEXT, "sha256", "hash of these candles"),
            Column("candles_version", INT, "", "version of the candles table that was read"),
            Column("code_version", TEXT, "", "version of Jarvis and hash of the code that decided"),
            Column("flow_run_id", TEXT, "", "Prefect flow run that decided; null: without Prefect"),
        ),
    ),
    Table(
        name="reconciliations",
        grain="account, currency and instant at which ledger and exchange were compared",
        key=("account", "currency", "ts"),
        sort=("account", "ts"),
        durable=True,
        columns=(
            Column("account", TEXT, "", "exchange, and a hash of the public key"),
            Column("currency", TEXT, "", "currency whose balance was compared"),
            Column("ts", TIME, "UTC", "instant of the comparison, by the exchange's clock"),
            Column(
                "kind",
                TEXT,
                "",
                "opening, deposit, withdrawal, manual_trade, rounding, accepted, equal, or unexplained",
            ),
            Column("expected", TEXT, "", "balance that the ledger expects, a decimal"),
            Column("actual", TEXT, "", "balance that the exchange told, a decimal"),
            Column("difference", FLOAT, "", "actual - expected"),
            Column("flows", TEXT, "", "what the ledger's fills moved in all until then, a decimal"),
            Column("detail", TEXT, "", "the difference in words"),
        ),
    ),
    Table(
        name="parity",
        grain="run, symbol and ts: a candle of a session against the backtest of the same candles",
        key=("run_id", "symbol", "ts"),
        sort=("run_id", "symbol", "ts"),
        columns=(
            _RUN,
            _SYMBOL,
            Column("ts", TIME, "UTC", "the candle"),
            Column("verdict", TEXT, "", "equal, data, signal, fill or cost: the first cause of a difference"),
            Column("detail", TEXT, "", "the difference in words; null where there is none"),
            Column("live_signal", FLOAT, "fraction", "signal as it was recorded"),
            Column("backtest_signal", FLOAT, "fraction", "signal of the backtest"),
            Column("live_position", FLOAT, "base", "position at the close, as it was recorded"),
            Column("backtest_position", FLOAT, "base", "position of the backtest"),
            Column("live_equity", FLOAT, "quote", "equity at the close, as it was recorded"),
            Column("backtest_equity", FLOAT, "quote", "equity of the backtest"),
            Column(
                "live_fills",
                TEXT,
                "JSON",
                "the session's fills in the candle, those in a row on one side as one: side, amount, price, fee, reason, "
                "decision_ts",
            ),
            Column("backtest_fills", TEXT, "JSON", "the backtest's fills in the candle, alike"),
            Column(
                "backtest_orders",
                TEXT,
                "JSON",
                "what the backtest ordered at the close: side, type, amount, price, reason, event",
            ),
            Column("compared_at", TIME, "UTC", "instant of the comparison"),
        ),
    ),
    Table(
        name="equity",
        grain="run and ts",
        key=("run_id", "ts"),
        sort=("run_id", "ts"),
        columns=(
            _RUN,
            Column("ts", TIME, "UTC", "candle at whose close the account is valued"),
            Column("cash", FLOAT, "quote", "money"),
            Column(
                "position",
                FLOAT,
                "base",
                "amount held; below 0 when short; of a run of several symbols what they are worth in all, see positions",
            ),
            Column("price", FLOAT, "quote", "price at which the position is valued: the close; of several symbols 1"),
            Column("equity", FLOAT, "quote", "cash + position * price"),
            Column("drawdown", FLOAT, "fraction", "equity / its peak so far - 1; 0 or below"),
        ),
    ),
    Table(
        name="positions",
        grain="run, symbol and ts: a position held at a close, in a run of several symbols",
        key=("run_id", "symbol", "ts"),
        sort=("run_id", "symbol", "ts"),
        columns=(
            _RUN,
            _SYMBOL,
            Column("ts", TIME, "UTC", "candle of the run at whose close it was held; joins to equity"),
            Column("position", FLOAT, "base", "amount held; below 0 when short, never 0"),
            Column("price", FLOAT, "quote", "the symbol's last close, be it of that candle or of one before"),
            Column("value", FLOAT, "quote", "position * price; all that are held and the cash are the equity"),
        ),
    ),
    Table(
        name="trades",
        grain="round trip, from flat to flat",
        key=("run_id", "trade_id"),
        sort=("run_id", "symbol", "entry_ts"),
        columns=(
            _RUN,
            _SYMBOL,
            Column("trade_id", INT, "count", "from 1, by entry"),
            Column("side", TEXT, "", "long or short"),
            Column("status", TEXT, "", "closed, or open: marked at the last close"),
            Column("entry_ts", TIME, "UTC", "candle of the first entry"),
            Column("exit_ts", TIME, "UTC", "candle of the last exit; null while open"),
            Column("amount", FLOAT, "base", "amount bought (sold, when short) in all"),
            Column("entry_price", FLOAT, "quote", "average price of the entries"),
            Column(
                "exit_price",
                FLOAT,
                "quote",
                "average price of the exits; what is still open is taken at the last close",
            ),
            Column("entry_holding", FLOAT, "quote", "amount * entry_price"),
            Column("exit_holding", FLOAT, "quote", "amount * exit_price"),
            Column("fees", FLOAT, "quote", "fees paid on its fills"),
            Column(
                "carry",
                FLOAT,
                "quote",
                "what it cost to hold: borrowing and funding; below 0: what it earned; null: as if 0",
            ),
            Column("profit", FLOAT, "quote", "exits - entries (the other way round when short) - fees - carry"),
            Column("return", FLOAT, "fraction", "profit / entry_holding"),
            Column(
                "exit_reason", TEXT, "", "signal, stop_loss, take_profit, trailing_stop, time or ruin; null while open"
            ),
            Column("bars_held", INT, "count", "candles from the entry's to the exit's, the entry's not counted"),
            Column(
                "worst_excursion", FLOAT, "fraction", "worst unrealised return inside the trade's candles, 0 or below"
            ),
            Column(
                "best_excursion", FLOAT, "fraction", "best unrealised return inside the trade's candles, 0 or above"
            ),
            Column("touches_gap", FLAG, "", "whether candles are absent between its decision and its exit"),
            Column("entry_order_id", TEXT, "", "order of the first entry; joins to orders"),
            Column("exit_order_id", TEXT, "", "order of the last exit; null while open"),
        ),
    ),
    Table(
        name="sweeps",
        grain="sweep and parameter set",
        key=("run_id", "number"),
        sort=("run_id", "number"),
        columns=(
            Column("run_id", TEXT, "", "the sweep; joins to runs, where its kind is sweep"),
            Column(
                "number", INT, "count", "the parameter set, from 1, in the order of the grid, the draw or the search"
            ),
            Column("symbol", TEXT, "", "market that it was tried on"),
            Column("timeframe", TEXT, "", "length of a candle: 1m, 1h, 1d"),
            Column("wanted", INT, "count", "sets that the sweep is to try in all: the same in each of its rows"),
            Column("parameters", TEXT, "JSON", "all parameters of the strategy, as runs has them"),
            Column("failure", TEXT, "", "why the set could not be tried, in words; null: it was"),
            Column("objective", FLOAT, "", "what ranks it, higher is better; in-sample where there is a split"),
            Column("note", TEXT, "", "why there is no objective; null: there is one"),
            Column("observations", INT, "count", "returns behind the figures"),
            Column("annual_return", FLOAT, "fraction", "as in metrics, in-sample; so the next ones, null as there"),
            Column("cumulative_return", FLOAT, "fraction", "final equity over cash, minus 1"),
            Column("annual_volatility", FLOAT, "fraction", "deviation of the returns, a year"),
            Column("sharpe_ratio", FLOAT, "ratio", "a year; null for a sample too short for it"),
            Column("sortino_ratio", FLOAT, "ratio", "a year"),
            Column("max_drawdown", FLOAT, "fraction", "deepest fall of the equity below its peak, 0 or below"),
            Column("trades", INT, "count", "round trips, an open one included"),
            Column("win_rate", FLOAT, "fraction", "share of the closed trades with a profit"),
            Column("profit_factor", FLOAT, "ratio", "money won over money lost by closed trades"),
            Column("exposure_time", FLOAT, "fraction", "share of the closes at which a position was held"),
            Column("fees_paid", FLOAT, "quote", "fees of all fills"),
            Column("period_sharpe", FLOAT, "ratio", "Sharpe ratio of one period: not annualised"),
            Column("period_sortino", FLOAT, "ratio", "Sortino ratio of one period"),
            Column("skewness", FLOAT, "ratio", "third moment of the returns in deviations, plain"),
            Column("kurtosis", FLOAT, "ratio", "fourth moment of the returns in deviations, plain: 3 if normal"),
            Column(
                "blocks", NUMBERS, "", "sums s0 to s15 and sums of squares q0 to q15 of the returns in 16 stretches"
            ),
            Column(
                "returns",
                SERIES,
                "fraction",
                "returns behind the figures, in-sample, by time; null: it failed, or its returns are not kept",
            ),
            Column(
                "stretches",
                NUMBERS,
                "",
                "the objective on parts of the candles: those before each test of a walk-forward, by its number; the "
                "first quarter and half, where sets are pruned by them; null: neither",
            ),
            Column("out_objective", FLOAT, "", "the objective out-of-sample; null without a split, as the next"),
            Column("out_cumulative_return", FLOAT, "fraction", "cumulative return out-of-sample"),
            Column("out_sharpe_ratio", FLOAT, "ratio", "Sharpe ratio out-of-sample, a year"),
            Column("out_max_drawdown", FLOAT, "fraction", "maximum drawdown out-of-sample"),
            Column("out_trades", INT, "count", "round trips out-of-sample"),
        ),
    ),
    Table(
        name="sensitivity",
        grain="run, what is varied, and step away from the run",
        key=("run_id", "varied", "step"),
        sort=("run_id", "varied", "step"),
        columns=(
            Column("run_id", TEXT, "", "the run, or the sweep, whose best set is varied; joins to runs"),
            Column("varied", TEXT, "", "costs: fee and slippage; else the parameter's name"),
            Column("step", INT, "count", "multiple of the costs; of a parameter -1 for a lower value, 1 for a higher"),
            Column("value", TEXT, "JSON", "what it is varied to: the multiple, or the parameter's value"),
            Column("cumulative_return", FLOAT, "fraction", "as in metrics, with all else equal; so the next ones"),
            Column("sharpe_ratio", FLOAT, "ratio", "a year; null for a sample too short for it"),
            Column("period_sharpe", FLOAT, "ratio", "Sharpe ratio of one period: not annualised"),
            Column("max_drawdown", FLOAT, "fraction", "deepest fall of the equity below its peak, 0 or below"),
            Column("trades", INT, "count", "round trips, an open one included"),
            Column("note", TEXT, "", "why there are no figures; null: there are"),
        ),
    ),
    Table(
        name="verdicts",
        grain="run and instant of the judgement",
        key=("run_id", "judged_at"),
        sort=("run_id", "judged_at"),
        columns=(
            Column("run_id", TEXT, "", "backtest or sweep; joins to runs"),
            Column("judged_at", TIME, "UTC", "instant of the judgement: what was tried until then counts"),
            Column("supported", FLAG, "", "whether the evidence supports the run, or the best set of the sweep"),
            Column("reason", TEXT, "", "the verdict in words"),
            Column("trials", INT, "count", "different strategies and parameters tried on the series, its own included"),
            Column("effective_trials", FLOAT, "count", "how many of them are different by their returns"),
            Column("observations", INT, "count", "returns behind the figures"),
            Column("period_sharpe", FLOAT, "ratio", "Sharpe ratio of one period: not annualised"),
            Column("expected_maximum_sharpe", FLOAT, "ratio", "that of the luckiest of the effective trials"),
            Column("strict_expected_maximum_sharpe", FLOAT, "ratio", "that of the luckiest, each trial counted"),
            Column("probabilistic_sharpe", FLOAT, "fraction", "probability that the true ratio is above 0"),
            Column("deflated_sharpe", FLOAT, "fraction", "probability that it is above that of the luckiest"),
            Column("strict_deflated_sharpe", FLOAT, "fraction", "the same, each trial counted as independent"),
            Column("minimum_track_record", FLOAT, "count", "returns that prove such a ratio; null: none do"),
            Column("code_version", TEXT, "", "version of Jarvis and hash of the code that judged"),
        ),
    ),
    Table(
        name="folds",
        grain="sweep and test of its walk-forward",
        key=("run_id", "fold"),
        sort=("run_id", "fold"),
        columns=(
            Column("run_id", TEXT, "", "the sweep; its row of equity at a test's candle is that of all tests together"),
            Column("fold", INT, "count", "the test, from 1, by time"),
            Column("train_start", TIME, "UTC", "first candle that chose the set"),
            Column("train_end", TIME, "UTC", "last candle that chose the set"),
            Column("test_start", TIME, "UTC", "first candle that it was tried on"),
            Column("test_end", TIME, "UTC", "last candle that it was tried on"),
            Column("number", INT, "count", "the set that was best before the test; null: none had an objective there"),
            Column("parameters", TEXT, "JSON", "its parameters; null as before"),
            Column("objective", FLOAT, "", "its objective on the candles that chose it"),
            Column("out_objective", FLOAT, "", "its objective in the test, with all the cash at the test's beginning"),
            Column("out_cumulative_return", FLOAT, "fraction", "its return in the test"),
            Column("out_sharpe_ratio", FLOAT, "ratio", "its Sharpe ratio in the test, a year"),
            Column("out_max_drawdown", FLOAT, "fraction", "its maximum drawdown in the test"),
            Column("out_trades", INT, "count", "its round trips in the test"),
        ),
    ),
    Table(
        name="metrics",
        grain="run and metric",
        key=("run_id", "metric"),
        sort=("run_id", "metric"),
        columns=(
            _RUN,
            Column("metric", TEXT, "", "name, such as sharpe_ratio"),
            Column("value", FLOAT, "unit", "null where it is not defined"),
            Column("low", FLOAT, "unit", "lower bound of its interval; null where none is computed"),
            Column("high", FLOAT, "unit", "upper bound of its interval"),
            Column("unit", TEXT, "", "fraction, ratio, quote, count, days or bars"),
            Column("note", TEXT, "", "why a value is absent or to be read with care; null otherwise"),
        ),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _TABLES}
