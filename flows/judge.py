"""Judging runs: what the lake has of a run, and of all else that was tried on its series, as a row of `verdicts`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data.candles import fingerprint, read_candles
from data.errors import BadInput
from data.runs import canonical, code_version, read_run
from data.tables import TABLES
from data.timeframe import parse_timeframe
from data.trials import Past, Tried
from data.views import read, read_unrecorded
from data.writer import Lake
from flows.sensitivity import COLUMNS, Step, costs_varied, parameters_varied
from flows.trials import target_of
from tasks.backtest import Detail
from tasks.evaluate.account import DAY
from tasks.evaluate.figure import Figure
from tasks.evaluate.neighbours import neighbours, numbers
from tasks.evaluate.sample import market_of, period_ends, returns_of
from tasks.evaluate.verdict import TWICE, Verdict, judge, judge_run, rank
from tasks.signal import Strategy
from tasks.signal.grid import beside, read_grid
from tasks.signal.registry import build

JUDGING = ("data/trials.py", "tasks/evaluate", "flows/judge.py")
"""Where the source lies that decides a verdict."""


def judge_again(lake: Lake, run: str) -> Verdict:
    """Judge a recorded backtest or sweep by all that was tried on its series until now, and record the verdict.

    Raises BadInput for a run that is neither, or not in the lake.
    """
    rows = read(lake, "SELECT kind, manifest FROM runs WHERE run_id = ?", [run], tables={"runs"}).to_pylist()
    if not rows:
        raise BadInput(f"no run {run} in the lake: `jarvis sql 'from runs'` lists them")
    kind, told = rows[0]["kind"], json.loads(rows[0]["manifest"])
    varied = read_run(lake, run, "sensitivity")
    if kind == "backtest":
        return judge_backtest(lake, run, told, read_run(lake, run, "equity"), read_run(lake, run, "metrics"), varied)
    if kind != "sweep":
        raise BadInput(f"run {run} is a {kind} session: backtests and sweeps are judged")
    sets = read_run(lake, run, "sweeps")
    last = pd.Timestamp(told["end"]) + parse_timeframe(told["timeframe"])
    candles = read_candles(lake, *_series(told), pd.Timestamp(told["start"]), last)
    if fingerprint(candles) != told["data_fingerprint"]:
        raise BadInput(f"the candles of run {run} are others by now: sweep them again, which is judged too")
    walked = walked_by(read_run(lake, run, "metrics"))
    verdict = judge_sweep(lake, run, told, sets, candles, varied, walked)[1]
    record_verdict(lake, run, verdict)
    return verdict


def judge_backtest(
    lake: Lake,
    run: str,
    told: Mapping[str, Any],
    equity: pd.DataFrame,
    metrics: pd.DataFrame,
    varied: pd.DataFrame | None = None,
) -> Verdict:
    """Judge a recorded backtest, given its manifest and its rows in the lake, and record the verdict."""
    opens = np.asarray(pd.DatetimeIndex(equity["ts"]).as_unit("us").asi8, dtype=np.int64)
    values, ends = equity["equity"].to_numpy(np.float64), period_ends(opens, _candle(told))
    ruined = np.flatnonzero(values <= 0)
    if len(ruined):
        ends = np.append(ends[ends < ruined[0]], ruined[0])
    with Past(lake, *_series(told), told.get("symbols")) as past:
        trials, variance = past.spread()
        earlier = past.returns(opens[ends] // DAY, run)
    alpha = Figure(
        *metrics.set_index("metric").loc["alpha", ["value", "low", "high", "note"]].astype(object).where(pd.notna, None)
    )
    returns = returns_of(told["cash"], values[ends])
    verdict = judge_run(returns, trials, variance, earlier, alpha, None if varied is None else _at_twice(varied))
    record_verdict(lake, run, verdict)
    return verdict


def judge_sweep(
    lake: Lake,
    run: str,
    told: Mapping[str, Any],
    sets: pd.DataFrame,
    candles: pd.DataFrame,
    varied: pd.DataFrame,
    walked: float | None = None,
) -> tuple[pd.DataFrame, Verdict]:
    """Return the statistics and the verdict of a sweep, recorded or not.

    `candles` are all of the sweep's, `walked` is what its walk-forward returned.
    """
    market = market_of(candles.iloc[: told["split_at"]], _candle(told))
    tried = sets.loc[sets["failure"].isna(), ["parameters", "period_sharpe"]].set_axis(["parameters", "ratio"], axis=1)
    own = Tried(told["strategy"], canonical(told), pa.Table.from_pandas(tried, preserve_index=False))
    with Past(lake, *_series(told)) as past:
        trials, variance = past.spread(own)
        earlier = past.returns(market.days, run)
    return judge(
        sets,
        trials,
        variance=variance,
        market=market.returns,
        earlier=earlier,
        sensitivity=varied,
        walked=walked,
    )


def walked_by(metrics: pd.DataFrame) -> float | None:
    """Return what a walk-forward returned, as a fraction, by the rows of `metrics`; None where that is absent."""
    known = metrics.set_index("metric")["value"].dropna()
    return float(known["walk_forward_return"]) if "walk_forward_return" in known else None


def best_varied(
    candles: pd.DataFrame,
    strategy: type[Strategy],
    told: Mapping[str, Any],
    sets: pd.DataFrame,
    detail: Detail | None = None,
) -> pd.DataFrame:
    """Return the rows of the table sensitivity for the best set: its neighbours, and its costs 0 to 3 times.

    Where a drawn or a searched sweep has tried none beside it, the next one of the grid is tried for this alone.
    """
    ranked = rank(sets)
    if ranked.empty:
        return pd.DataFrame(columns=COLUMNS)
    first = slice(0, told["split_at"] or len(candles))
    inside, detail = candles.iloc[first], detail and detail.part(first)
    best = build(strategy, json.loads(ranked["parameters"].iloc[0]))
    shared = strategy.shared(inside)
    rows = costs_varied(inside, target_of(inside, best, shared), told, detail)
    tried = neighbours(sets, ranked.iloc[0])
    steps = _untried(best, told["parameters"]["grid"], {(row["varied"], row["step"]) for row in tried})
    return pd.DataFrame(rows + tried + parameters_varied(inside, best, shared, steps, told, detail), columns=COLUMNS)


def _untried(best: Strategy, grid: Mapping[str, str], tried: AbstractSet[tuple[str, int]]) -> list[Step]:
    """Return the places of the grid beside the best set that no set of the sweep is at, nor one beyond them."""
    axes, steps = read_grid(grid).axes, list[Step]()
    for name, value in numbers(best.model_dump(mode="json")).items():
        if name not in axes:
            continue
        for step, text in zip((-1, 1), beside(axes[name], value), strict=True):
            if text is not None and (name, step) not in tried:
                steps.append((name, step, type(value)(float(text))))  # a whole number may be written 5.0
    return steps


def _at_twice(varied: pd.DataFrame) -> float | None:
    rows = varied[(varied["varied"] == "costs") & (varied["step"] == TWICE)]
    found = rows["cumulative_return"].dropna()
    return None if found.empty else float(found.iloc[0])


def record_verdict(lake: Lake, run: str, verdict: Verdict) -> None:
    """Append a verdict to the lake, unless the last one of the run was given on the same trials and says the same."""
    row = {"supported": verdict.supported, "reason": verdict.reason}
    row |= {} if verdict.deflated is None else verdict.deflated._asdict()
    compared = ("supported", "reason", "trials", "effective_trials")
    known = read_unrecorded(lake, "verdicts", lake.table("verdicts"), run, ("judged_at", *compared))
    latest = known.sort_by("judged_at").to_pylist()[-1:]
    if latest and all(latest[0][name] == row.get(name) for name in compared):
        return
    row |= {"run_id": run, "judged_at": datetime.now(UTC), "code_version": code_version(JUDGING)}
    lake.append("verdicts", pa.Table.from_pylist([row], TABLES["verdicts"].schema))


def _series(told: Mapping[str, Any]) -> tuple[str, str, str]:
    return told["exchange"], told["symbol"], told["timeframe"]


def _candle(told: Mapping[str, Any]) -> int:
    return round(parse_timeframe(told["timeframe"]).total_seconds() * 1e6)
