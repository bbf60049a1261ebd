"""The verdict on a sweep: whether its best set is more than the luckiest of so many trials."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from data.sweep_metrics import SWEEP_METRICS
from tasks.evaluate.figure import Figure, Figures, absent, figure
from tasks.evaluate.overfitting import BLOCKS, overfitting_probability
from tasks.evaluate.sample import MIN_RETURNS
from tasks.evaluate.sharpe import deflated_sharpe, expected_maximum, minimum_track_record, probabilistic_sharpe

CONFIDENCE = 0.95
"""What the deflated Sharpe ratio must reach."""
EVEN = 0.5
"""Probability of overfitting from which on the choice is no better than a draw by lot."""


def rank(sets: pd.DataFrame) -> pd.DataFrame:
    """Return the sets that have an objective, the best first; equals keep the order of the sweep."""
    return sets.dropna(subset=["objective"]).sort_values("objective", ascending=False, kind="stable")


def judge(sets: pd.DataFrame, trials: int) -> pd.DataFrame:
    """Return the statistics of a sweep, a row each as in `metrics`, from its rows as in `sweeps`.

    `trials` is how many parameter sets were ever tried on the series. The verdict is "supported" where the deflated
    Sharpe ratio of the best set is 95 % or more, the probability of overfitting is below one half, and the best set
    gained out-of-sample where there is a split; else "not proven", with the first reason.
    """
    ranked, measured = rank(sets), sets[sets["failure"].isna()]
    figures: Figures = {
        "sets": figure(len(sets)),
        "failed_sets": figure(len(sets) - len(measured)),
        "trials": figure(trials, note="each counted as independent, which is strict where sets resemble each other"),
    }
    if ranked.empty:
        why = "no set has an objective"
        named = {"verdict": Figure(0.0, note=f"not proven: {why}")}
        return _table(dict.fromkeys(SWEEP_METRICS, absent(why)) | figures | named)
    best = ranked.iloc[0]
    figures |= {"best_set": figure(best["number"]), "best_objective": figure(best["objective"])}
    figures |= _ratios(best, measured, trials) | {"overfitting_probability": _overfitting(measured)}
    doubt = _doubt(figures, best)
    words = f"not proven: {doubt}" if doubt else "supported: " + _support(figures)
    return _table(figures | {"verdict": Figure(0.0 if doubt else 1.0, note=words)})


def _ratios(best: pd.Series, measured: pd.DataFrame, trials: int) -> Figures:
    names = (
        "best_sharpe",
        "probabilistic_sharpe",
        "deflated_sharpe",
        "minimum_track_record",
        "expected_maximum_sharpe",
    )
    if pd.isna(best["period_sharpe"]) or pd.isna(best["kurtosis"]):
        return dict.fromkeys(names, absent("the best set's returns do not vary"))
    sharpe, count = float(best["period_sharpe"]), int(best["observations"])
    shape = float(best["skewness"]), float(best["kurtosis"])
    tried = measured["period_sharpe"].dropna()
    variance = float(tried.var(ddof=1)) if len(tried) > 1 else 0.0
    length = minimum_track_record(sharpe, *shape)
    if count < MIN_RETURNS:
        few = absent(f"{count} returns, and it takes {MIN_RETURNS}")
        return dict.fromkeys(names, few) | {"best_sharpe": figure(sharpe)}
    return {
        "best_sharpe": figure(sharpe),
        "expected_maximum_sharpe": figure(expected_maximum(trials, variance)),
        "probabilistic_sharpe": figure(probabilistic_sharpe(sharpe, count, *shape)),
        "deflated_sharpe": figure(deflated_sharpe(sharpe, count, *shape, trials, variance)),
        "minimum_track_record": figure(length) if math.isfinite(length) else absent("never: the ratio is not above 0"),
    }


def _overfitting(measured: pd.DataFrame) -> Figure:
    """Compute the probability of overfitting over the sets that have as many returns as most."""
    usual = measured[measured["blocks"].notna()]
    if len(usual) < 2:
        return absent("needs 2 sets with 64 returns or more, none of them ruined")
    blocks = [dict(row) for row in usual["blocks"]]
    sums, squares = (
        np.array([[row[f"{kind}{block}"] for row in blocks] for block in range(BLOCKS)]) for kind in ("s", "q")
    )
    return figure(overfitting_probability(sums, squares, int(usual["observations"].iloc[0])))


def _doubt(figures: Figures, best: pd.Series) -> str | None:
    """Return the first reason against the best set; None where there is none."""
    deflated, overfit = figures["deflated_sharpe"], figures["overfitting_probability"]
    trials = figures["trials"].value or 0.0
    if deflated.value is None:
        return deflated.note
    if deflated.value < CONFIDENCE:
        luck, own = figures["expected_maximum_sharpe"].value, figures["best_sharpe"].value
        return (
            f"after {trials:,.0f} trials on this series the luckiest shows a Sharpe ratio of {luck:.3f} a period "
            f"without any skill, the best set {own:.3f}: a deflated Sharpe ratio of {deflated.value:.1%}, "
            f"and it takes {CONFIDENCE:.0%}"
        )
    if overfit.value is not None and overfit.value >= EVEN:
        return (
            f"what is best in one half of the time is in the worse half of the sets in the other in {overfit.value:.0%}"
        )
    if pd.notna(best["out_cumulative_return"]) and best["out_cumulative_return"] <= 0:
        return f"out-of-sample the best set returned {best['out_cumulative_return']:.2%}"
    return None


def _support(figures: Figures) -> str:
    overfit = figures["overfitting_probability"].value
    chance = "" if overfit is None else f", and a probability of overfitting of {overfit:.0%}"
    trials, deflated = figures["trials"].value, figures["deflated_sharpe"].value
    return f"a Sharpe ratio above the luckiest of {trials:,.0f} trials with a probability of {deflated:.1%}{chance}"


def _table(figures: Figures) -> pd.DataFrame:
    rows = [figures[name] for name in SWEEP_METRICS]
    return pd.DataFrame(
        {
            "metric": pd.Series(list(SWEEP_METRICS), dtype="str"),
            "value": pd.Series([row.value for row in rows], dtype="float64"),
            "low": pd.Series([row.low for row in rows], dtype="float64"),
            "high": pd.Series([row.high for row in rows], dtype="float64"),
            "unit": pd.Series([metric.unit for metric in SWEEP_METRICS.values()], dtype="str"),
            "note": pd.Series([row.note for row in rows], dtype="str"),
        }
    )
