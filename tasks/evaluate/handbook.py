"""The page docs/metrics.md, written from `data.metrics`: ``python -m tasks.evaluate.handbook`` renews it."""

from __future__ import annotations

from data.metrics import GROUPS, METRICS, PORTFOLIO, SOURCES, Metric
from data.settings import CHECKOUT
from tasks.evaluate.sample import MIN_DAYS, MIN_RETURNS

PAGE = CHECKOUT / "docs" / "metrics.md"

_INTRODUCTION = f"""\
# Metrics

<!-- Written by `python -m tasks.evaluate.handbook` from `data/metrics.py`: change it there. -->

What the table `metrics` holds of every run, and what each figure means. Fractions are fractions (0.012 is 1.2 %),
money is in the quote currency, times are UTC, losses and drawdowns are below 0.

- **Period.** Returns are those of the equity curve, not of trades: one per UTC day (the day's last value) where candles
  are shorter than a day, else one per candle. The first counts from the starting cash. The metrics `observations` and
  `periods_per_year` say how many there were, and how many make a year. A stock exchange whose session crosses midnight
  UTC has its days cut there.
- **Too short a sample** is not annualised: below {MIN_DAYS} days or {MIN_RETURNS} returns the annual figures are null.
  What needs no year stays: `cumulative_return`, `period_return`, `period_volatility`, `period_sharpe`,
  `period_sortino`.
- **Not defined** is null, never infinite: a profit factor without a losing trade, a Sharpe ratio of returns that do not
  vary. The note says why.
- **Intervals** (`low`, `high`) of the headline metrics are what 95 % of 1,000 histories came to that the stationary
  bootstrap (Politis and Romano, 1994) draws from the run's own returns, or closed trades, in blocks whose mean length
  follows from their autocorrelation. Where the value lies outside, the order in which returns came was lucky or not.
  They take 30 returns or 10 closed trades, see falls at the ends of periods only, and are the same at each call. The
  win rate has Wilson's interval, Sharpe ratios of a period and of the market Mertens'. They say nothing about how many
  strategies were tried before this one: the table `verdicts` does, see [sweeps.md](sweeps.md).
- **The whole run counts**, the strategy's warm-up included, for the account and for the market against which it is
  measured. Annual figures take a risk-free rate of 0.
- **Open trades** are marked at the last close: they are in the equity, not in the figures of closed trades.
- **Ruin.** Once equity is 0 or below, no return is defined; the statistics end there and a note says when it was.
"""


_AGREEMENT = """\
Figures agree with quantstats and empyrical-reloaded, and those of trades with backtesting.py, wherever the definition
is the same: the tests hold them to it.
"""


def metrics_page() -> str:
    """Return the page as Markdown: the conventions, every metric by group, other definitions, and the sources."""
    headlines = ", ".join(f"`{name}`" for name in PORTFOLIO)
    differences = _bullets({f"`{m.name}`": m.differs for m in METRICS.values() if m.differs})
    works = _bullets({short: f"{work}." for short, work in SOURCES.items()})
    return "\n".join(
        [
            _INTRODUCTION,
            *(_section(title, _table(group)) for title, group in GROUPS.items()),
            _section("The portfolio table", f"The lesson's five, then the other headlines: {headlines}.\n"),
            _section("Where others differ", differences),
            _section("Sources", f"{_AGREEMENT}\n{works}"),
        ]
    )


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _bullets(items: dict[str, str]) -> str:
    return "".join(f"- {name}: {text}\n" for name, text in items.items())


def _table(metrics: tuple[Metric, ...]) -> str:
    rows = (f"| {m.title} | `{m.name}` | {m.unit} | {m.meaning} | {m.source} |\n" for m in metrics)
    return "| Metric | Name | Unit | Meaning | Source |\n|---|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(metrics_page(), encoding="utf-8")
