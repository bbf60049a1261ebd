"""Which ranges are asked for: known answers of the rule that collections and the dashboard share."""

from __future__ import annotations

import pandas as pd
import pytest

from data.missing import Absence, Holding, Range, ranges_to_ask

STEP = pd.Timedelta(hours=1)


def at(hour: float) -> pd.Timestamp:
    return pd.Timestamp("2024-01-01", tz="UTC") + hour * STEP


def held(first: int, last: int, *holes: tuple[int, int], again: int = 1) -> Holding:
    return Holding(at(first), at(last), at(last - again + 1), [(at(one), at(other)) for one, other in holes])


def asked(
    held: Holding | None, start: int | None = None, end: int | None = None, *absences: Absence, now: float = 20.5
) -> list[tuple[float | None, float | None]]:
    """What is asked for, in hours."""
    bounds = [None if hour is None else at(hour) for hour in (start, end)]
    ranges = ranges_to_ask(lambda: held, *bounds, at(now), STEP, lambda: absences)
    return [
        (None if since is None else (since - at(0)) / STEP, None if until is None else (until - at(0)) / STEP)
        for since, until in ranges
    ]


def absent(kind: str, first: int, last: int) -> Absence:
    return Absence(kind, at(first), at(last))


def test_of_an_empty_series_all_is_asked_for() -> None:
    assert asked(None, 3, 9) == [(3, 9)]
    assert asked(None) == [(None, None)]


def test_what_is_later_is_asked_for_from_the_last_candle_on() -> None:
    assert asked(held(0, 15)) == [(15, None)]
    assert asked(held(0, 15, again=10)) == [(6, None)]
    assert asked(held(0, 15, again=10), 12) == [(12, None)]
    assert asked(held(0, 15), None, 18) == [(15, 18)]


def test_nothing_is_asked_for_before_the_next_candle_closes() -> None:
    assert asked(held(0, 19)) == []
    assert asked(held(0, 19), now=20.99) == []
    assert asked(held(0, 19), now=21) == [(19, None)]
    assert asked(held(0, 15), None, 16) == []


def test_holes_are_asked_about_only_with_a_start() -> None:
    with_holes = held(0, 19, (4, 7), (10, 12))
    assert asked(with_holes) == []
    assert asked(with_holes, 0) == [(4, 8), (10, 13)]
    assert asked(with_holes, 6) == [(6, 8), (10, 13)]
    assert asked(with_holes, 8) == [(10, 13)]
    assert asked(with_holes, 0, 6) == [(4, 6)]


def test_a_known_gap_is_not_asked_about_again_but_one_of_another_width_is() -> None:
    one_hole = held(0, 19, (4, 7))
    assert asked(one_hole, 0, None, absent("gap", 5, 6)) == []
    assert asked(one_hole, 0, None, absent("gap", 5, 5)) == [(4, 8)]
    assert asked(one_hole, 0, None, absent("outlier", 5, 6)) == [(4, 8)]


def test_what_is_earlier_is_asked_for_unless_it_lies_in_a_window() -> None:
    assert asked(held(5, 19), 2) == [(2, 6)]
    assert asked(held(5, 19), 2, None, absent("window", 0, 4)) == []
    assert asked(held(5, 19), 2, None, absent("window", 3, 4)) == [(2, 6)]


def test_neither_the_holding_nor_absences_are_looked_at_where_they_do_not_matter() -> None:
    def never() -> list[Absence]:
        pytest.fail("not needed")

    assert ranges_to_ask(never, at(20), None, at(20.5), STEP, never) == []  # type: ignore[arg-type]
    assert ranges_to_ask(lambda: held(0, 15), at(0), None, at(20.5), STEP, never) == [Range(at(15), None)]
