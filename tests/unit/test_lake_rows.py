"""Rows on their way into the lake: what fits goes in, what does not is refused in one line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import LakeError
from data.rows import conform
from data.tables import TABLES
from tests.unit.lake_rows import EPOCH, candles, metrics

CANDLES = TABLES["candles"]
METRICS = TABLES["metrics"]


def stored(column: str, values: Any) -> list[Any]:
    rows = candles(len(values)).drop(columns=column)
    return conform(CANDLES, rows.assign(**{column: values}))[column].to_pylist()


def refusal(column: str, values: Any) -> str:
    with pytest.raises(LakeError) as refused:
        stored(column, values)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"table candles, column {column}: ")
    return message


def test_absent_columns_become_null() -> None:
    table = conform(METRICS, pd.DataFrame({"run_id": ["r"], "metric": "m"}))
    assert table.schema.equals(METRICS.schema)
    assert table.to_pylist() == [dict.fromkeys(METRICS.schema.names) | {"run_id": "r", "metric": "m"}]


def test_rows_are_sorted_as_declared() -> None:
    rows = candles(50)
    assert conform(CANDLES, rows.sample(frac=1, random_state=3)).equals(conform(CANDLES, rows))


@pytest.mark.parametrize("rows", [pd.DataFrame({"value": [1.0, np.nan]}), pa.table({"value": [1.0, float("nan")]})])
def test_nan_is_null(rows: pd.DataFrame | pa.Table) -> None:
    keys = {"run_id": ["r", "r"], "metric": ["a", "b"]}
    rows = rows.assign(**keys) if isinstance(rows, pd.DataFrame) else pa.table({**keys, "value": rows["value"]})
    assert conform(METRICS, rows)["value"].to_pylist() == [1.0, None]


def test_infinity_is_a_number() -> None:
    assert stored("close", [float("inf"), 1.0, -float("inf")]) == [float("inf"), 1.0, -float("inf")]


@pytest.mark.parametrize("empty", [pd.NaT, None, np.nan, pd.NA])
@pytest.mark.parametrize("column", ["superseded_at", "trades", "close"])
def test_a_column_without_values_is_null_whatever_type_pandas_gave_it(column: str, empty: object) -> None:
    assert stored(column, [empty, empty]) == [None, None]


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        ("close", [1, 2], [1.0, 2.0]),
        ("close", [Decimal("1.5"), Decimal("2")], [1.5, 2.0]),
        ("close", np.array([1.5, 2.5], dtype="float32"), [1.5, 2.5]),
        ("trades", [3.0, np.nan], [3, None]),
        ("trades", np.array([3, 4], dtype="uint8"), [3, 4]),
        ("symbol", pd.Categorical(["a", "b"]), ["a", "b"]),
    ],
)
def test_what_means_the_same_is_taken(column: str, values: Any, wanted: list[Any]) -> None:
    assert stored(column, values) == wanted


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("close", ["1.5", "2"], "string given, double wanted"),
        ("close", [True, False], "bool given, double wanted"),
        ("close", [datetime(2024, 1, 1, tzinfo=UTC)] * 2, "given, double wanted"),
        ("symbol", [1, 2], "int64 given, string wanted"),
        ("symbol", [b"a", b"b"], "binary given, string wanted"),
        ("trades", [1.5, 2], "not int64: Float value 1.500000 was truncated"),
        ("trades", [1e300, 2], "not int64: Float value"),
        ("ts", [0, 1], "int64 given, timestamp[us, tz=UTC] wanted"),
        ("ts", ["2024-01-01", "2024-01-02"], "string given, timestamp[us, tz=UTC] wanted"),
        ("ts", [date(2024, 1, 1)] * 2, "date32[day] given, timestamp[us, tz=UTC] wanted"),
        ("ts", [datetime(2024, 1, 1), datetime(2024, 1, 2)], "times without a time zone; make them UTC"),  # noqa: DTZ001
        ("ts", pd.to_datetime([1, 2], unit="ns", utc=True), "would lose data"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(column: str, values: Any, reason: str) -> None:
    assert reason in refusal(column, values)


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=-5)))
    (found,) = stored("ts", [noon])
    assert found == datetime(2024, 7, 1, 17, tzinfo=UTC)


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001
def test_every_microsecond_of_every_century_is_kept(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)
    assert stored("ts", pa.array([instant], pa.timestamp("us", "UTC")).to_pandas()) == [instant]


def test_a_column_that_is_not_declared_is_refused() -> None:
    with pytest.raises(LakeError, match=r"table metrics has no column sharp, sharper: add it to data/tables\.py first"):
        conform(METRICS, metrics("r").assign(sharper=1, sharp=2))


def test_a_column_that_is_given_twice_is_refused() -> None:
    rows = metrics("r")
    with pytest.raises(LakeError, match="table metrics: rows are no table: Duplicate column names"):
        conform(METRICS, pd.concat([rows, rows["value"]], axis=1))
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pytest.raises(LakeError, match="table metrics: a column is given twice: run_id, metric, value, value"):
        conform(METRICS, table.append_column("value", table["value"]))


def test_values_of_mixed_types_are_refused() -> None:
    with pytest.raises(LakeError, match=r"table metrics: rows are no table: .*value"):
        conform(METRICS, metrics("r", "a", "b").assign(value=[1.0, "one"]))


@pytest.mark.parametrize("column", CANDLES.key)
def test_a_key_cannot_be_null(column: str) -> None:
    rows = candles(2)
    rows[column] = rows[column].astype("object").where([True, False], None)
    if column == "ts":
        rows[column] = pd.to_datetime(rows[column], utc=True)
    with pytest.raises(LakeError, match=f"table candles: {column} is part of the key and cannot be null"):
        conform(CANDLES, rows)


def test_a_frame_whose_times_are_its_index_is_not_taken_for_one_without_key() -> None:
    with pytest.raises(LakeError, match="table candles: ts is part of the key and cannot be null"):
        conform(CANDLES, candles(2).set_index("ts"))


def test_the_name_of_a_time_zone_is_not_guessed_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert stored("ts", [EPOCH]) == [datetime(2024, 1, 1, tzinfo=UTC)]
