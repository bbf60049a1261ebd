"""The metrics of a run: name, unit, title, meaning and source, each defined once.

The evaluate stage computes them, the dashboard explains them, and docs/metrics.md lists them, all from here.
Fractions, not percents (0.012, not 1.2). Losses and drawdowns are below 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric; its rows in the `metrics` table bear its name and unit."""

    name: str
    unit: str
    """fraction, ratio, quote, count, days or bars."""
    title: str
    meaning: str
    """One sentence, for a tooltip."""
    source: str = ""
    """Where the formula is published; empty where the meaning is the formula."""
    differs: str = ""
    """How well-known libraries define it otherwise; empty where they agree."""


GROUPS: dict[str, tuple[Metric, ...]] = {
    "Sample": (
        Metric("start", "days", "Start", "Opening of the first candle, in days since 1970-01-01 UTC."),
        Metric("end", "days", "End", "Close of the last candle, in days since 1970-01-01 UTC."),
        Metric("duration_days", "days", "Duration", "Days from the opening of the first candle to the last close."),
        Metric(
            "observations",
            "count",
            "Returns Observed",
            "Number of returns behind the statistics: one per UTC day, or per candle where it is a day or longer.",
        ),
        Metric(
            "periods_per_year",
            "count",
            "Periods a Year",
            "Returns that make a year: 365 days where the market never closes, 252 where it has weekends, "
            "365 / days of the candle where that is longer than a day.",
        ),
    ),
    "Returns": (
        Metric(
            "annual_return",
            "fraction",
            "Annual Return",
            "Mean return of a period times the periods in a year, without compounding.",
            "Jarvis lesson; Sharpe (1994)",
            "empyrical's annual_return and backtesting.py's Return (Ann.) compound: compare them with cagr.",
        ),
        Metric(
            "cumulative_return",
            "fraction",
            "Cumulative Returns",
            "Final equity over the starting cash, minus 1.",
            "Jarvis lesson",
        ),
        Metric(
            "cagr",
            "fraction",
            "CAGR",
            "Growth a year that, compounded over the days of the run, leads from the starting cash to the final "
            "equity; a year has 365 days.",
            "Bacon (2008), ch. 2",
            "quantstats and empyrical count observations / periods a year instead of days: the same where every "
            "day trades and none is absent, and near it for stocks. backtesting.py takes 365.25 days a year.",
        ),
        Metric("net_profit", "quote", "Net Profit", "Final equity minus the starting cash."),
        Metric("final_equity", "quote", "Final Equity", "Equity at the last close, the open position included."),
        Metric("peak_equity", "quote", "Peak Equity", "Highest equity at any close, or the starting cash."),
        Metric("lowest_equity", "quote", "Lowest Equity", "Lowest equity at any close, or the starting cash."),
        Metric("period_return", "fraction", "Mean Return", "Mean return of one period, not annualised."),
        Metric("best_period", "fraction", "Best Period", "Highest return of one period."),
        Metric("worst_period", "fraction", "Worst Period", "Lowest return of one period."),
        Metric(
            "positive_periods",
            "fraction",
            "Positive Periods",
            "Share of the periods with a return above 0.",
            differs="quantstats's win_rate leaves periods with a return of 0 out; here they count.",
        ),
    ),
    "Risk": (
        Metric(
            "annual_volatility",
            "fraction",
            "Annual Volatility",
            "Standard deviation of the returns (n - 1) times the square root of the periods in a year.",
            "Jarvis lesson; Bacon (2008), ch. 4",
            "backtesting.py derives the deviation of compounded yearly returns.",
        ),
        Metric(
            "sharpe_ratio",
            "ratio",
            "Sharpe Ratio",
            "Annual return per unit of annual volatility, with a risk-free rate of 0; as of the other headlines, the "
            "interval is of the stationary bootstrap.",
            "Sharpe (1994); Politis and Romano (1994)",
            "backtesting.py divides its compounded return by its compounded volatility. freqtrade divides summed "
            "trade profits a day by the deviation of single trades, which is not a ratio of returns.",
        ),
        Metric(
            "sortino_ratio",
            "ratio",
            "Sortino Ratio",
            "Annual return per unit of annual downside deviation: the root mean square over all periods of the "
            "returns below 0.",
            "Sortino and Price (1994)",
            "Some tools take the standard deviation of the losing periods alone. backtesting.py puts its "
            "compounded return on top.",
        ),
        Metric(
            "calmar_ratio",
            "ratio",
            "Calmar Ratio",
            "CAGR over the size of the maximum drawdown.",
            "Young (1991)",
            "Young looks back 36 months, this at the whole run. Libraries that see only daily returns miss the "
            "drawdown within a day.",
        ),
        Metric(
            "omega_ratio",
            "ratio",
            "Omega Ratio",
            "Sum of the returns above 0 over the sum of those below it.",
            "Keating and Shadwick (2002)",
        ),
        Metric(
            "period_volatility",
            "fraction",
            "Volatility of a Period",
            "Standard deviation of the returns (n - 1), not annualised.",
            "Bacon (2008), ch. 4",
        ),
        Metric(
            "period_sharpe",
            "ratio",
            "Sharpe Ratio of a Period",
            "Mean return over its standard deviation, not annualised; the interval is Lo's, widened for skew and fat "
            "tails as Mertens does, and takes returns to be serially independent.",
            "Sharpe (1994); Lo (2002); Mertens (2002)",
        ),
        Metric(
            "period_sortino",
            "ratio",
            "Sortino Ratio of a Period",
            "Mean return over the downside deviation, not annualised.",
            "Sortino and Price (1994)",
        ),
        Metric(
            "skew",
            "ratio",
            "Skew",
            "Asymmetry of the returns, corrected for the size of the sample; below 0 the losses are the long tail.",
            "Joanes and Gill (1998), G1",
            "scipy's default is not corrected for the size of the sample.",
        ),
        Metric(
            "kurtosis",
            "ratio",
            "Excess Kurtosis",
            "Fatness of the tails of the returns, corrected for the size of the sample; 0 for a normal distribution.",
            "Joanes and Gill (1998), G2",
            "scipy's default is not corrected for the size of the sample.",
        ),
        Metric(
            "value_at_risk",
            "fraction",
            "Value at Risk 95 %",
            "Return that one period in twenty falls below: the 5 % quantile of the returns seen.",
            "Jorion (2006), ch. 5",
            "quantstats assumes a normal distribution unless told otherwise.",
        ),
        Metric(
            "conditional_value_at_risk",
            "fraction",
            "Conditional Value at Risk 95 %",
            "Mean of the worst 5 % of the returns seen.",
            "Rockafellar and Uryasev (2000)",
            "quantstats assumes a normal distribution unless asked for method='historical'.",
        ),
        Metric(
            "tail_ratio",
            "ratio",
            "Tail Ratio",
            "Size of the 95 % quantile of the returns over that of the 5 % quantile.",
            "empyrical",
        ),
    ),
    "Drawdown": (
        Metric(
            "max_drawdown",
            "fraction",
            "Maximum Drawdown",
            "Deepest fall of the equity below its peak so far, over all closes; the starting cash is the first peak.",
            "Bacon (2008), ch. 4",
            "quantstats and empyrical see the equity once a period, and so miss what lies within.",
        ),
        Metric(
            "max_drawdown_days",
            "days",
            "Longest Drawdown",
            "Days from a peak until it is reached again, for the longest such stretch; unfinished ones last to the "
            "end of the run.",
            "backtesting.py",
        ),
        Metric(
            "average_drawdown",
            "fraction",
            "Average Drawdown",
            "Mean of the deepest points of all drawdowns.",
            "Bacon (2008), ch. 4",
        ),
        Metric(
            "average_drawdown_days",
            "days",
            "Average Drawdown Duration",
            "Mean length of all drawdowns.",
            "backtesting.py",
        ),
        Metric("current_drawdown", "fraction", "Drawdown at the End", "How far below its peak the equity ends."),
        Metric(
            "current_drawdown_days",
            "days",
            "Days Under Water at the End",
            "Days since the peak that has not been reached again.",
        ),
        Metric(
            "ulcer_index",
            "fraction",
            "Ulcer Index",
            "Root mean square of the drawdown over all closes.",
            "Martin and McCann (1989)",
            "quantstats divides by n - 1, and sees the equity once a period.",
        ),
        Metric(
            "recovery_factor",
            "ratio",
            "Recovery Factor",
            "Cumulative return over the size of the maximum drawdown.",
            "",
            "quantstats adds the returns up instead of compounding them, and drops the sign.",
        ),
    ),
    "Market": (
        Metric(
            "buy_and_hold_return",
            "fraction",
            "Buy and Hold",
            "Return of the market bought at the open of the first candle and held to the last close, without costs.",
            "",
            "backtesting.py and freqtrade start after the strategy's warm-up; here the market and the account "
            "start at the same instant.",
        ),
        Metric(
            "buy_and_hold_sharpe_ratio",
            "ratio",
            "Buy and Hold Sharpe",
            "Sharpe ratio of the market bought and held.",
            "Sharpe (1994); Lo (2002); Mertens (2002)",
        ),
        Metric(
            "buy_and_hold_max_drawdown",
            "fraction",
            "Buy and Hold Drawdown",
            "Maximum drawdown of the market bought and held.",
            "Bacon (2008), ch. 4",
        ),
        Metric(
            "alpha",
            "fraction",
            "Alpha",
            "Annual return that the market's does not explain: annual return - beta * annual return of the market, "
            "with a risk-free rate of 0.",
            "Jensen (1968)",
            "As quantstats. empyrical compounds it; backtesting.py takes the returns of the whole run.",
        ),
        Metric(
            "beta",
            "ratio",
            "Beta",
            "Return for each unit of the market's return: covariance with it over its variance.",
            "Sharpe (1964)",
            "backtesting.py takes logarithmic returns of candles.",
        ),
        Metric(
            "correlation",
            "ratio",
            "Correlation",
            "Pearson's correlation of the returns with the market's.",
        ),
    ),
    "Trades": (
        Metric("trades", "count", "Trades", "Round trips, the open ones included."),
        Metric("closed_trades", "count", "Closed Trades", "Round trips that ended; what follows is about these."),
        Metric("open_trades", "count", "Open Trades", "Round trips that were still open at the end."),
        Metric("open_profit", "quote", "Open Profit", "Profit of the open trades, marked at the last close."),
        Metric("long_trades", "count", "Long Trades", "Closed trades that bought first."),
        Metric("short_trades", "count", "Short Trades", "Closed trades that sold first."),
        Metric("long_profit", "quote", "Long Profit", "Profit of the closed long trades."),
        Metric("short_profit", "quote", "Short Profit", "Profit of the closed short trades."),
        Metric(
            "win_rate",
            "fraction",
            "Win Rate",
            "Share of the closed trades with a profit above 0 after fees; the interval is Wilson's.",
            "Wilson (1927)",
            "quantstats's win_rate is about periods, not trades.",
        ),
        Metric(
            "profit_factor",
            "ratio",
            "Profit Factor",
            "Money won by winning trades over money lost by losing trades.",
            "freqtrade; vectorbt",
            "backtesting.py adds up the trades' returns instead of money.",
        ),
        Metric(
            "expectancy",
            "quote",
            "Expectancy",
            "Mean profit of a closed trade.",
            "vectorbt; freqtrade",
            "backtesting.py's Expectancy is the mean return of a trade: here average_trade.",
        ),
        Metric(
            "payoff_ratio",
            "ratio",
            "Payoff Ratio",
            "Mean profit of the winning trades over the mean loss of the losing ones.",
            "jesse; LEAN",
        ),
        Metric(
            "sqn",
            "ratio",
            "SQN",
            "System quality number: root of the number of trades times the mean profit over its standard deviation "
            "(n - 1).",
            "Tharp (2008); backtesting.py",
            "Tharp measures profits in multiples of the risk taken, and counts no more than 100 trades.",
        ),
        Metric(
            "kelly_criterion",
            "fraction",
            "Kelly Criterion",
            "Share of the money that would have grown fastest: win rate - (1 - win rate) / payoff ratio.",
            "Kelly (1956); backtesting.py",
            "quantstats takes winning and losing periods, not trades.",
        ),
        Metric("best_trade", "fraction", "Best Trade", "Highest return of a closed trade."),
        Metric("worst_trade", "fraction", "Worst Trade", "Lowest return of a closed trade."),
        Metric(
            "average_trade",
            "fraction",
            "Average Trade",
            "Mean return of a closed trade.",
            "",
            "backtesting.py's Avg. Trade is the geometric mean; its Expectancy is this one.",
        ),
        Metric("average_win", "fraction", "Average Winner", "Mean return of the winning trades."),
        Metric("average_loss", "fraction", "Average Loser", "Mean return of the losing trades."),
        Metric("average_trade_days", "days", "Average Trade Duration", "Mean time from entry to exit."),
        Metric("max_trade_days", "days", "Longest Trade", "Longest time from entry to exit."),
        Metric("average_win_days", "days", "Average Winner Duration", "Mean time that winning trades were held."),
        Metric("average_loss_days", "days", "Average Loser Duration", "Mean time that losing trades were held."),
        Metric("average_trade_bars", "bars", "Average Candles Held", "Mean number of candles from entry to exit."),
        Metric("max_win_streak", "count", "Longest Winning Streak", "Most winning trades in a row, by exit."),
        Metric("max_loss_streak", "count", "Longest Losing Streak", "Most losing trades in a row, by exit."),
    ),
    "Activity": (
        Metric(
            "exposure_time",
            "fraction",
            "Exposure Time",
            "Share of the closes at which a position was held.",
            "",
            "backtesting.py counts the candle of the exit as well.",
        ),
        Metric("fees_paid", "quote", "Fees Paid", "Fees of all fills."),
        Metric("volume_traded", "quote", "Volume Traded", "Money that changed hands: price * amount of all fills."),
        Metric(
            "turnover",
            "ratio",
            "Turnover",
            "Volume traded over the mean equity, for the whole run; a purchase with all the money and its sale are 2.",
            "",
            "Fund reports take the smaller of purchases and sales, a year.",
        ),
    ),
    "Chance": (
        Metric(
            "probabilistic_sharpe",
            "fraction",
            "Probabilistic Sharpe",
            "Probability that the true Sharpe ratio is above 0, were this the only trial; the table verdicts has the "
            "deflated one, which knows of the others.",
            "Bailey and Lopez de Prado (2012), eq. 11",
        ),
        Metric(
            "minimum_track_record",
            "count",
            "Minimum Track Record",
            "Returns it takes until a Sharpe ratio of this size is above 0 with 95 % confidence.",
            "Bailey and Lopez de Prado (2012), eq. 13",
        ),
        Metric(
            "shuffled_drawdown",
            "fraction",
            "Drawdown of Shuffled Trades",
            "Maximum drawdown at the exits of the closed trades, the median of 1,000 orders of them, with 95 % of the "
            "orders.",
        ),
        Metric(
            "drawn_final_equity",
            "quote",
            "Final Equity of Drawn Trades",
            "Cash that as many of the closed trades, drawn with replacement, lead to: the median of 1,000 draws, with "
            "95 % of them.",
        ),
    ),
}
"""The metrics that belong together, in the order in which they are shown."""

METRICS: dict[str, Metric] = {metric.name: metric for group in GROUPS.values() for metric in group}
"""Every metric by name, in the order in which they are shown."""

PORTFOLIO: tuple[str, ...] = (
    "annual_return",
    "cumulative_return",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "cagr",
    "max_drawdown",
    "max_drawdown_days",
    "exposure_time",
    "final_equity",
    "buy_and_hold_return",
    "alpha",
    "beta",
    "closed_trades",
    "open_trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "sqn",
    "fees_paid",
)
"""The metrics of the portfolio table: the lesson's five first, then the other headlines."""

SOURCES: dict[str, str] = {
    "Bailey and Lopez de Prado (2012)": "D. H. Bailey, M. Lopez de Prado, The Sharpe Ratio Efficient Frontier, "
    "Journal of Risk 15(2)",
    "Bacon (2008)": "C. R. Bacon, Practical Portfolio Performance Measurement and Attribution, 2nd ed., Wiley",
    "Jensen (1968)": "M. C. Jensen, The Performance of Mutual Funds in the Period 1945-1964, Journal of Finance 23(2)",
    "Joanes and Gill (1998)": "D. N. Joanes, C. A. Gill, Comparing measures of sample skewness and kurtosis, "
    "The Statistician 47(1)",
    "Jorion (2006)": "P. Jorion, Value at Risk, 3rd ed., McGraw-Hill",
    "Keating and Shadwick (2002)": "C. Keating, W. F. Shadwick, A Universal Performance Measure, "
    "Journal of Performance Measurement 6(3)",
    "Kelly (1956)": "J. L. Kelly, A New Interpretation of Information Rate, Bell System Technical Journal 35(4)",
    "Lo (2002)": "A. W. Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4)",
    "Martin and McCann (1989)": "P. G. Martin, B. B. McCann, The Investor's Guide to Fidelity Funds, Wiley",
    "Mertens (2002)": "E. Mertens, Comments on variance of the IID estimator in Lo (2002), working paper",
    "Politis and Romano (1994)": "D. N. Politis, J. P. Romano, The Stationary Bootstrap, "
    "Journal of the American Statistical Association 89(428)",
    "Rockafellar and Uryasev (2000)": "R. T. Rockafellar, S. Uryasev, Optimization of Conditional Value-at-Risk, "
    "Journal of Risk 2(3)",
    "Sharpe (1964)": "W. F. Sharpe, Capital Asset Prices, Journal of Finance 19(3)",
    "Sharpe (1994)": "W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21(1)",
    "Sortino and Price (1994)": "F. A. Sortino, L. N. Price, Performance Measurement in a Downside Risk Framework, "
    "Journal of Investing 3(3)",
    "Tharp (2008)": "V. K. Tharp, Definitive Guide to Position Sizing, International Institute of Trading Mastery",
    "Wilson (1927)": "E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, "
    "Journal of the American Statistical Association 22(158)",
    "Young (1991)": "T. W. Young, Calmar Ratio: A Smoother Tool, Futures 20(1)",
}
"""The published works that the metrics name."""
