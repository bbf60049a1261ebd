"""What the page of data asks, tells and draws: known answers on small lakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards import data_queries as queries
from dashboards import data_words as words
from dashboards.coverage_chart import draw_coverage
from dashboards.data_queries import Name, Series
from dashboards.hub import Edition
from dashboards.look import NONE
from dashboards.search import LONGEST
from data.errors import LakeError
from data.views import connect
from data.writer import Lake
from tasks.fetch.missing import missing
from tasks.fetch.shelf import Shelf
from tasks.fetch.source import Series as ShelfName
from tests.unit import lake_rows as rows

HOUR = pd.Timedelta(hours=1)
NAME = Name("kraken", "BTC/USD", "1h")
EVIL = "<img src=x onerror=alert(1)>"


def fact(kind: str, first: int, last: int, **columns: Any) -> pd.DataFrame:
    """A row of the table quality, in hours from the first candle."""
    span = {"start_ts": rows.EPOCH + first * HOUR, "end_ts": rows.EPOCH + last * HOUR, "candles": last - first + 1}
    told = {
        **NAME._asdict(),
        "kind": kind,
        **span,
        "detail": f"a {kind}",
        "found_at": rows.EPOCH,
        "resolved_at": pd.NaT,
    }
    return pd.DataFrame([{**told, **columns}])


def market(calendar: str, **columns: Any) -> pd.DataFrame:
    told = {"exchange": "kraken", "symbol": "BTC/USD", "calendar": calendar, "updated_at": rows.EPOCH}
    return pd.DataFrame([{**told, **columns}])


def with_holes(lake: Lake, n: int, *absent: int) -> None:
    lake.append("candles", rows.candles(n).drop(index=list(absent)))


def found(lake: Lake) -> list[Series]:
    with connect(lake) as connection:
        told = queries.series(connection, lake).series
        return queries.with_remarks(told, queries.remarks(connection), queries.calendars(connection))


def one(lake: Lake) -> Series:
    (series,) = found(lake)
    return series


def naive(hour: float) -> pd.Timestamp:
    return (rows.EPOCH + hour * HOUR).tz_localize(None)


def test_a_series_is_told_with_what_is_absent_from_its_grid_and_what_was_asked_for(lake: Lake) -> None:
    with_holes(lake, 20, 5, 6, 12)
    lake.append("quality", fact("gap", 5, 6))
    series = one(lake)
    assert (series.name, series.first, series.last, series.candles) == (NAME, naive(0), naive(19), 17)
    assert (series.missing, series.gaps, series.unasked, series.facts) == (3, 2, 1, 1)
    assert series.due == naive(21)


def test_resolved_facts_count_no_more(lake: Lake) -> None:
    lake.append("candles", rows.candles(20))
    lake.append("quality", fact("gap", 5, 6, resolved_at=rows.EPOCH))
    assert (one(lake).gaps, one(lake).facts) == (0, 0)


def test_where_markets_close_only_known_gaps_are_missing_and_nothing_is_due(lake: Lake) -> None:
    with_holes(lake, 20, *range(5, 15))
    lake.append("quality", fact("gap", 5, 6))
    lake.append("markets", market("XNYS"))
    series = one(lake)
    assert (series.missing, series.unasked, series.due) == (2, 0, None)


def test_what_came_with_the_program_or_from_a_file_without_a_name_is_never_due(lake: Lake) -> None:
    lake.append("candles", rows.candles(2, exchange="sample"))
    lake.append("candles", rows.candles(2, exchange="file"))
    assert [series.due for series in found(lake)] == [None, None]


def test_what_is_known_may_be_unreadable_and_the_candles_are_told_all_the_same(lake: Lake) -> None:
    with_holes(lake, 20, 5)
    with connect(lake) as connection:
        told = queries.series(connection, lake).series
    (series,) = queries.with_remarks(told, None, {})
    assert (series.missing, series.gaps, series.unasked, series.facts) == (1, None, 0, None)
    (series,) = queries.with_remarks(told, None, None)
    assert (series.missing, series.calendar) == (None, None)
    assert words.row(series)["cells"][5] == NONE
    assert "gaps unknown" in words.tiles([series])


def test_a_series_whose_timeframe_is_none_is_left_out_by_name(lake: Lake) -> None:
    lake.append("candles", rows.candles(2))
    lake.append("candles", rows.candles(2, timeframe="1 month"))
    with connect(lake) as connection:
        told = queries.series(connection, lake)
    assert [series.name for series in told.series] == [NAME]
    assert told.strange == ["kraken/BTC/USD/1 month"]


def test_an_error_out_of_the_lake_names_no_folder(lake: Lake) -> None:
    lake.append("candles", rows.candles(2))
    for entry in (lake.path("candles") / "_delta_log").iterdir():
        entry.write_text("torn")
    with pytest.raises(LakeError) as told:
        Edition(lake).answer(queries.series, lake)
    assert "cannot be read" in str(told.value)
    assert str(lake.root) not in str(told.value)


def test_facts_are_listed_newest_first_with_open_gaps_marked(lake: Lake) -> None:
    resolved = fact("gap", 9, 9, resolved_at=rows.EPOCH + HOUR)
    lake.append("quality", pd.concat([fact("gap", 2, 3), fact("outlier", 7, 7), resolved]))
    with connect(lake) as connection:
        listed = queries.facts(connection, NAME, "")
        assert listed["Kind"].tolist() == ["gap", "outlier", "gap"]
        assert listed["marked"].tolist() == [False, False, True]
        assert listed["State"].tolist() == ["resolved 2024-01-01 01:00", "open", "open"]
        assert queries.facts(connection, NAME, "outlier")["From (UTC)"].tolist() == [naive(7)]
        assert queries.facts(connection, NAME, EVIL).empty
        assert queries.kinds(connection, NAME) == {"gap": 2, "outlier": 1}
        assert queries.kinds(connection, NAME._replace(symbol=EVIL)) == {}


def test_only_the_newest_facts_are_listed_and_the_rest_is_said(lake: Lake) -> None:
    n = queries.LISTED_FACTS + 7
    lake.append("quality", pd.concat([fact("flat", at, at) for at in range(n)]))
    with connect(lake) as connection:
        listed, counts = queries.facts(connection, NAME, ""), queries.kinds(connection, NAME)
    assert len(listed) == queries.LISTED_FACTS
    assert listed["From (UTC)"].iloc[0] == naive(n - 1)
    assert f"The newest {queries.LISTED_FACTS} of {n}" in words.facts(listed, counts, "")


def test_the_chosen_kind_is_offered_even_where_there_is_none_of_it() -> None:
    offered = words.kinds({"gap": 2}, "flat")
    assert [(option["id"], option["count"]) for option in offered] == [("", 2), ("gap", 2), ("flat", 0)]


def test_marks_are_told_by_row_and_merged_where_they_are_many(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    other = NAME._replace(symbol="ETH/USD")
    lake.append("quality", pd.concat([fact("flat", at, at) for at in range(50)]))
    lake.append("quality", fact("gap", 1, 4, symbol="ETH/USD"))
    with connect(lake) as connection:
        marks = queries.marks(connection, (other, NAME))
        assert marks["row"].value_counts().to_dict() == {1: 50, 0: 1}
        assert tuple(marks.iloc[0])[1:6] == ("gap", naive(1), naive(4), 4, 1)
        monkeypatch.setattr(queries, "DRAWN_FACTS", 20)
        monkeypatch.setattr(queries, "_PLACES", 5)
        merged = queries.marks(connection, (other, NAME))
    flats = merged[merged["row"] == 1]
    assert len(flats) <= 6
    assert (flats["facts"].sum(), flats["candles"].sum()) == (50, 50)
    assert (flats["start"].min(), flats["end"].max()) == (naive(0), naive(49))


def test_unasked_holes_are_told_by_the_candles_around_them(lake: Lake) -> None:
    with_holes(lake, 20, 5, 6, 12, 15)
    lake.append("candles", rows.candles(3, symbol="ETH/USD"))
    lake.append("quality", pd.concat([fact("gap", 12, 12), fact("window", 14, 16)]))
    bitcoin, ether = found(lake)
    with connect(lake) as connection:
        assert queries.unasked(connection, bitcoin) == [(naive(4), naive(7))]
        assert queries.unasked(connection, ether) == []


def test_no_candle_is_read_where_the_counts_say_that_none_is_absent_unasked(lake: Lake) -> None:
    with_holes(lake, 20, 5)
    lake.append("quality", fact("gap", 5, 5))
    for file in rows.data_files(lake, "candles"):
        file.write_bytes(b"torn")
    with connect(lake) as connection:
        assert queries.unasked(connection, one(lake)) == []


@pytest.mark.parametrize("seed", range(12))
def test_the_page_tells_the_ranges_that_a_collection_asks_for(seed: int, lake: Lake) -> None:
    random = np.random.default_rng(seed)
    absent = sorted(random.choice(np.arange(1, 39), size=int(random.integers(0, 12)), replace=False).tolist())
    with_holes(lake, 40, *absent)
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1) if absent else []
    known = [fact("gap", int(run[0]), int(run[-1])) for run in runs if random.random() < 0.5]
    known += [fact("window", 8, 15)] if random.random() < 0.3 else []
    if known:
        lake.append("quality", pd.concat(known))
    now = 40 + 3 * random.random()
    series = one(lake)
    with connect(lake) as connection:
        unasked = queries.unasked(connection, series)
    for start in (None, series.first):
        told = queries.ranges(series, start, naive(now), unasked)
        asked = missing(
            Shelf(lake, ShelfName(*NAME)), start and start.tz_localize("UTC"), None, rows.EPOCH + now * HOUR
        )
        assert [[bound and bound.tz_localize("UTC") for bound in one] for one in told] == [list(one) for one in asked]


def collections(lake: Lake, now: float) -> str:
    with connect(lake) as connection:
        series = one(lake)
        return words.collections(series, queries.unasked(connection, series), naive(now))


def test_a_fresh_series_asks_for_nothing_before_its_next_candle_closes(lake: Lake) -> None:
    lake.append("candles", rows.candles(20))
    told = collections(lake, 20.5)
    assert "Nothing before 2024-01-01 21:00 UTC" in told
    assert "jarvis collect --exchange kraken --symbol BTC/USD --timeframe 1h<" in told
    assert "--start" not in told


def test_a_series_behind_asks_from_its_newest_candle_on(lake: Lake) -> None:
    lake.append("candles", rows.candles(20))
    told = collections(lake, 23.5)
    assert "from <b>2024-01-01 19:00</b> to <b>the newest closed</b>" in told
    assert "3 absent" in told


def test_holes_are_fetched_with_a_start_and_known_gaps_only_again(lake: Lake) -> None:
    with_holes(lake, 20, 5, 6, 12)
    lake.append("quality", fact("gap", 12, 12))
    told = collections(lake, 20.5)
    assert "With --start also what was never asked for: 1 range" in told
    assert "--start 2024-01-01T00:00<" in told
    assert "from <b>2024-01-01 04:00</b> to <b>before 2024-01-01 08:00</b>" in told
    assert "2 absent" in told
    assert "Known gaps (1 candle) are asked for no more" in told
    assert "--again" in told


def test_a_file_is_read_again_by_hand_and_the_sample_needs_none(lake: Lake) -> None:
    lake.append("candles", rows.candles(2, exchange="file"))
    assert "jarvis collect --file FILE --symbol BTC/USD --timeframe 1h" in collections(lake, 50)
    sample = one(lake)._replace(name=Name("sample", "AAPL", "1d"))
    assert "jarvis collect --exchange sample --symbol AAPL" in words.collections(sample, [], naive(50))


def test_names_are_escaped_and_commands_quoted(lake: Lake) -> None:
    lake.append("candles", rows.candles(2, symbol=f"{EVIL}; rm"))
    series = one(lake)
    for told in (words.head(series), collections(lake, 50), words.absent(EVIL, series, "dark")):
        assert "<img" not in told
        assert "&lt;img" in told
    assert f"--symbol &#39;{EVIL.replace('<', '&lt;').replace('>', '&gt;')}; rm&#39;" in collections(lake, 50)


def test_series_are_sorted_by_any_column_and_found_by_words(lake: Lake) -> None:
    lake.append("candles", rows.candles(5))
    lake.append("candles", rows.candles(2, symbol="ETH/USD"))
    lake.append("candles", rows.candles(3, exchange="sample", symbol="AAPL"))
    told = found(lake)

    def symbols(order: str) -> list[str]:
        return [series.name.symbol for series in words.ordered(told, order)]

    assert symbols("name") == symbols("no such column") == ["BTC/USD", "ETH/USD", "AAPL"]
    assert symbols("-candles") == ["BTC/USD", "AAPL", "ETH/USD"]
    assert symbols("newest") == ["ETH/USD", "BTC/USD", "AAPL"]
    assert [series.name.symbol for series in words.matching(told, "KRAKEN usd 1h")] == ["BTC/USD", "ETH/USD"]
    assert [series.name.symbol for series in words.matching(told, "kraken/eth/usd/1h")] == ["ETH/USD"]
    assert words.matching(told, "") == told
    assert len(words.matching(told, "kraken" + " " * LONGEST + "absent")) == 2


def drawn(lake: Lake, picked: str = NAME.address) -> tuple[Any, dict[str, pd.DataFrame]]:
    series = found(lake)
    with connect(lake) as connection:
        marks = queries.marks(connection, tuple(one.name for one in series))
        holes = [queries.unasked(connection, one) for one in series]
    axis, figure = draw_coverage(series, picked, marks, holes, "dark", None)
    return axis, {layer.name: pd.DataFrame(dict(layer.data_source.data)) for layer in figure.renderers}


def hours(instants: pd.Series) -> list[float]:
    return ((instants - rows.EPOCH.timestamp() * 1000) / 3_600_000).tolist()


def test_what_is_held_is_drawn_as_bars_between_gaps_and_holes(lake: Lake) -> None:
    with_holes(lake, 20, 5, 6, 12)
    lake.append("quality", pd.concat([fact("gap", 5, 6), fact("revision", 3, 3), fact("window", -4, -1)]))
    _, layers = drawn(lake)
    assert (hours(layers["held"]["left"]), hours(layers["held"]["right"])) == ([0, 7, 13], [5, 12, 20])
    assert (hours(layers["gap"]["left"]), hours(layers["gap"]["right"])) == ([5], [7])
    assert (hours(layers["hole"]["left"]), hours(layers["hole"]["right"])) == ([12], [13])
    assert hours(layers["window"]["left"]) == [-4]
    assert layers["revision"]["said"][0] == "revision: a revision, 2024-01-01 03:00"
    assert (layers["revision"]["top"] < layers["held"]["bottom"].min()).all()


def test_the_series_picked_is_in_view_and_all_can_be_reached(lake: Lake) -> None:
    lake.append("candles", rows.candles(20))
    lake.append("candles", rows.candles(20, symbol="ETH/USD", start="2024-03-01"))
    axis, layers = drawn(lake)
    assert axis.start < layers["held"]["left"][0] < layers["held"]["right"][0] < axis.end
    assert axis.end < layers["held"]["left"][1] < axis.bounds[1]
    axis, _ = drawn(lake, picked="none")
    assert (axis.start, axis.end) == axis.bounds
