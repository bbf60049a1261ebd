"""What the lake holds of one series: read anew at each question, or remembered as long as nobody else writes to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data.candles import PRICES, read_candles
from data.markets import Market, read_market
from data.rows import conform
from data.tables import TABLES
from data.views import read
from data.writer import Claim, Lake
from tasks.fetch.facts import Known, Span, changes, read_known, write_known
from tasks.fetch.source import Fact, Series


class Shelf:
    """What the lake holds of one series, read anew at each question. Times are UTC."""

    def __init__(self, lake: Lake, series: Series) -> None:
        self.lake = lake
        self.series = series
        self._claim_id = "candles/" + "/".join(series)

    def refresh(self) -> None:
        """Look whether somebody else wrote to the series."""

    def claimed(self) -> int:
        """Return how often candles of the series were written."""
        return self.lake.claimed("candles", self._claim_id)

    def candles(self, start: pd.Timestamp | None = None, end: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return the current candles from `start` to before `end`; see `read_candles`."""
        return read_candles(self.lake, *self.series, start, end)

    def times(self, start: pd.Timestamp | None) -> pd.DatetimeIndex:
        """Return when the candles open, from the last one not after `start` on, else from the first one on."""
        query = """SELECT epoch_us(ts) AS ts FROM (SELECT ts, lead(ts) OVER (ORDER BY ts) AS next FROM candles
            WHERE exchange = $exchange AND symbol = $symbol AND timeframe = $timeframe)
            WHERE $start::TIMESTAMPTZ IS NULL OR next IS NULL OR next > $start ORDER BY ts"""
        asked = {**self.series._asdict(), "start": start}
        times = read(self.lake, query, asked, tables={"candles"})["ts"].to_numpy()
        return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")

    def facts(self) -> list[Known]:
        """Return all facts about the series, the resolved ones too."""
        return read_known(self.lake, self.series)

    def record(self, found: Iterable[Fact], judged: Span | None, present: pd.Index[pd.Timestamp]) -> list[Fact]:
        """Write what is new about the series, and return the new facts: see `changes`."""
        found_out = changes(self.facts(), found, judged, present)
        if found_out.rows:
            self.note(found_out.rows)
        return found_out.new

    def note(self, rows: list[Known]) -> None:
        """Write facts, known ones among them."""
        write_known(self.lake, self.series, rows)

    def record_market(self, market: Market) -> None:
        """Write a market where something is new; what the source does not tell leaves what is known as it is."""
        known = read_market(self.lake, market.exchange, market.symbol)
        told: dict[str, Any] = {name: value for name, value in asdict(market).items() if value is not None}
        current = replace(known, **told)
        if current != known:
            row = {**asdict(current), "updated_at": datetime.now(UTC)}
            self.lake.upsert("markets", pa.Table.from_pylist([row], schema=TABLES["markets"].schema))

    def add(self, new: pd.DataFrame, revised: pa.Table | None, claim: int) -> bool:
        """Write new candles, and the rows that revise held ones, in one commit; False where another was first.

        `claim` is 1 more than what was `claimed` when it was found out what is new.
        """
        rows = conform(TABLES["candles"], self.rows(new, 0))
        if revised is None:
            return self.lake.append("candles", rows, Claim(self._claim_id, claim))
        return self.lake.upsert("candles", pa.concat_tables([revised, rows]), Claim(self._claim_id, claim))

    def rows(self, candles: pd.DataFrame, revision: int | NDArray[np.int64]) -> pd.DataFrame:
        """Return candles as rows of the table, seen now."""
        rows = candles[[*PRICES, "trades"]].reset_index()
        return rows.assign(**self.series._asdict(), fetched_at=datetime.now(UTC), revision=revision)


class KeptShelf(Shelf):
    """A shelf that remembers what it read and wrote: for a session that asks at every candle.

    It remembers the candles from `since` on; asked once for what is earlier, all there are. Whoever writes candles
    does so under the claim of their series, so that one look at it tells whether all is as remembered.
    """

    def __init__(self, lake: Lake, series: Series, since: pd.Timestamp) -> None:
        super().__init__(lake, series)
        self._since: pd.Timestamp | None = since
        self._kept: pd.DataFrame | None = None
        self._facts: list[Known] | None = None
        self._market: Market | None = None
        self._claim = 0
        self._version = -1

    def refresh(self) -> None:
        """Look whether somebody else wrote to the series, and forget it then."""
        table = self.lake.table("candles")
        claim = 0 if table is None else table.transaction_version(self._claim_id) or 0
        self._version = -1 if table is None else table.version()
        if claim != self._claim:
            self._claim, self._kept, self._facts = claim, None, None

    def claimed(self) -> int:
        """Return how often candles of the series had been written when it was refreshed."""
        return self._claim

    def candles(self, start: pd.Timestamp | None = None, end: pd.Timestamp | None = None) -> pd.DataFrame:
        """Return the current candles from `start` to before `end`; see `read_candles`."""
        kept = self._from(start)
        first = 0 if start is None else kept.index.searchsorted(start)
        after = len(kept) if end is None else kept.index.searchsorted(end)
        candles = kept.iloc[first:after].copy()
        candles.attrs["version"] = self._version
        return candles

    def times(self, start: pd.Timestamp | None) -> pd.DatetimeIndex:
        """Return when the candles open, from the last one not after `start` on, else from the first one on."""
        kept = self._from(start)
        if start is not None and not (kept.index <= start).any():
            kept = self._from(None)
        first = 0 if start is None else max(0, kept.index.searchsorted(start, "right") - 1)
        return pd.DatetimeIndex(kept.index[first:])

    def facts(self) -> list[Known]:
        """Return all facts about the series, the resolved ones too."""
        if self._facts is None:
            self._facts = super().facts()
        return self._facts

    def note(self, rows: list[Known]) -> None:
        """Write facts, known ones among them."""
        super().note(rows)
        self._facts = None

    def record_market(self, market: Market) -> None:
        """Write a market where something is new since it was last recorded here."""
        if market != self._market:
            super().record_market(market)
            self._market = market

    def add(self, new: pd.DataFrame, revised: pa.Table | None, claim: int) -> bool:
        """Write new candles, and the rows that revise held ones, in one commit; False where another was first."""
        done = super().add(new, revised, claim)
        if done:
            self._claim = claim
        if done and revised is None and self._kept is not None:
            known = new if self._since is None else new[new.index >= self._since]
            self._kept = pd.concat([self._kept, known]).sort_index()
        else:
            self._kept = None
        return done

    def _from(self, start: pd.Timestamp | None) -> pd.DataFrame:
        """Return what is remembered, which begins at `start` or before."""
        if self._since is not None and (start is None or start < self._since):
            self._since = self._kept = None
        if self._kept is None:
            self._kept = read_candles(self.lake, *self.series, self._since)
        return self._kept
