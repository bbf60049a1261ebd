"""The collect flow: candles from their source into the lake."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from data.writer import Lake
from flows.parameters import CollectParameters
from tasks.fetch import fetch_data


@flow(name="collect", flow_run_name="{parameters.exchange} {parameters.symbol} {parameters.timeframe}")
def collect(parameters: CollectParameters = CollectParameters()) -> pd.DataFrame:  # noqa: B008 - it is frozen
    """Bring what is new of a series into the lake and return its candles."""
    candles: pd.DataFrame = fetch_data(
        Lake.open(),
        parameters.exchange,
        parameters.symbol,
        parameters.timeframe,
        parameters.start,
        parameters.end,
        file=parameters.file,
        calendar=parameters.calendar,
    )
    return candles
