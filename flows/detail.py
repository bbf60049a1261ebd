"""The finer candles of a backtest: out of the lake, fitted to its candles, and what is said of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from data.candles import fingerprint, read_candles
from data.errors import BadInput
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.parameters import BacktestParameters
from tasks.backtest import Detail, fit_detail


class Finer(NamedTuple):
    """Finer candles, and what the manifest says of them."""

    detail: Detail | None
    told: dict[str, Any] | None


def read_finer(lake: Lake, parameters: BacktestParameters, candles: pd.DataFrame) -> Finer:
    """Read the finer candles that are asked for from the lake; nothing is asked of an exchange.

    Raises BadInput where the lake has none inside these candles.
    """
    if parameters.detail is None:
        return Finer(None, None)
    length = parse_timeframe(parameters.timeframe)
    series = parameters.exchange, parameters.symbol, parameters.detail
    finer = read_candles(lake, *series, candles.index[0], candles.index[-1] + length)
    if finer.empty:
        raise BadInput(
            f"the lake has no {parameters.detail} candles of {parameters.exchange} {parameters.symbol} from "
            f"{candles.index[0]:%Y-%m-%d} to {candles.index[-1]:%Y-%m-%d}: bring them with `jarvis collect "
            f"--exchange {parameters.exchange} --symbol {parameters.symbol} --timeframe {parameters.detail}`, "
            "or leave out the detail"
        )
    detail = fit_detail(candles, finer, length, parse_timeframe(parameters.detail))
    told = {
        "timeframe": parameters.detail,
        "data_fingerprint": fingerprint(finer),
        "explained": detail.explained,
        "incomplete": detail.incomplete,
        "different": detail.different,
    }
    return Finer(detail, told)


def in_words(manifest: dict[str, Any]) -> str | None:
    """Say of how many candles the inside was known; None where no detail was asked for."""
    told = manifest.get("detail")
    if not told:
        return None
    rest = [
        f"{told[name]:,} {what}"
        for name, what in (("incomplete", "lack some"), ("different", "have other prices than theirs"))
        if told[name]
    ]
    found = (
        f"the inside of {told['explained']:,} of {manifest['candles']:,} candles is known from {told['timeframe']} ones"
    )
    return f"{found}; the others are passed whole: {', '.join(rest)}" if rest else found
