"""Runs: named by their manifest, recorded once, seen whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import runs
from data.errors import LakeError
from data.runs import canonical, code_version, is_recorded, read_run, record_run, run_id
from data.tables import TABLES
from data.views import connect
from data.writer import Lake
from tests.unit.lake_rows import SIZES, a_run, content, of_a_run

MANIFEST = {"strategy": "sma", "parameters": {"slow": 100, "fast": 50}, "fee": 0.004, "seed": None, "name": "ü/é"}


def seen(lake: Lake) -> dict[str, int]:
    """Rows of each table of a run, as the views show them."""
    connection = connect(lake)
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ("runs", *SIZES)}


def stored(lake: Lake) -> dict[str, int]:
    """Rows of each table of a run, seen or not."""
    tables = {name: lake.table(name) for name in ("runs", *SIZES)}
    return {name: 0 if delta is None else delta.to_pyarrow_table().num_rows for name, delta in tables.items()}


WHOLE = {"runs": 1, **SIZES}
NOTHING = dict.fromkeys(WHOLE, 0)


def test_the_name_of_a_run_is_known() -> None:
    assert canonical({"b": 1, "a": {"d": None, "c": 0.1}}) == '{"a":{"c":0.1,"d":null},"b":1}'
    assert run_id({"b": 1, "a": {"d": None, "c": 0.1}}) == "d455bef07484da67"


def test_the_name_of_a_run_does_not_depend_on_the_order_of_its_manifest() -> None:
    backwards = json.loads(json.dumps(MANIFEST), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(MANIFEST)
    assert canonical(backwards) == canonical(MANIFEST)


def test_the_name_of_a_run_is_the_same_in_another_process() -> None:
    script = f"from data.runs import run_id; print(run_id({MANIFEST!r}))"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2]), "TZ": "Asia/Tokyo"}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == run_id(MANIFEST)


def test_a_manifest_with_nan_has_no_name() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_id({"fee": float("nan")})


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES, max_size=4), st.dictionaries(st.text(), VALUES, max_size=4))
def test_two_manifests_share_a_text_only_if_they_are_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert json.loads(canonical(one)) == one
    same = repr(sorted(one.items())) == repr(sorted(other.items()))
    assert (canonical(one) == canonical(other)) == same


def checkout(folder: Path) -> Path:
    """A tree like ours, with the places that decide a result."""
    for place in (
        "data/candles.py",
        "tasks/signal/a.py",
        "tasks/engine/deep/b.py",
        "tasks/evaluate/c.py",
        "tasks/backtest/d.py",
    ):
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    (folder / "flows").mkdir()
    for name in ("backtest", "detail", "sensitivity", "terms"):
        (folder / "flows" / f"{name}.py").write_text("y = 2\n")
    return folder


def test_the_code_version_changes_with_every_source_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKOUT", checkout(tmp_path))
    versions = [code_version()]
    for file in sorted(tmp_path.rglob("*.py")):
        file.write_text(file.read_text() + "# edited\n")
        versions.append(code_version())
    (tmp_path / "tasks" / "signal" / "a.py").rename(tmp_path / "tasks" / "signal" / "z.py")
    versions.append(code_version())
    assert len(set(versions)) == 11
    assert all(version.startswith("0.") and "+" in version for version in versions)


def test_the_code_version_does_not_change_with_what_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKOUT", checkout(tmp_path))
    before = code_version()
    (tmp_path / "README.md").write_text("new")
    (tmp_path / "flows" / "cli.py").write_text("new")
    (tmp_path / "tasks" / "signal" / "__pycache__").mkdir()
    (tmp_path / "tasks" / "signal" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"new")
    assert code_version() == before


def test_the_code_version_does_not_depend_on_where_the_checkout_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = set()
    for name in ("here", "there"):
        monkeypatch.setattr(runs, "CHECKOUT", checkout(tmp_path / name))
        versions.add(code_version())
    assert len(versions) == 1


def test_a_recorded_run_is_seen_whole(lake: Lake) -> None:
    assert not is_recorded(lake, "r")
    assert record_run(lake, a_run("r"), of_a_run())
    assert is_recorded(lake, "r")
    assert seen(lake) == WHOLE


def test_a_run_recorded_twice_is_there_once_and_makes_no_version(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    before = content(lake.root)
    assert not record_run(lake, a_run("r"), of_a_run())
    assert content(lake.root) == before


def test_a_run_without_trades_is_whole_as_well(lake: Lake) -> None:
    tables = of_a_run()
    for name in ("trades", "fills"):
        tables[name] = tables[name].iloc[:0]
    record_run(lake, a_run("r"), tables)
    assert seen(lake) == {**WHOLE, "trades": 0, "fills": 0}


class Killed(Exception):
    pass


def killed_after(lake: Lake, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record a run and die after so many commits."""
    done = 0

    def counted(write: Any) -> Any:
        def write_or_die(*arguments: Any) -> bool:
            nonlocal done
            if done == writes:
                raise Killed
            done += 1
            return bool(write(*arguments))

        return write_or_die

    with monkeypatch.context() as dying:
        for method in ("append", "upsert"):
            dying.setattr(lake, method, counted(getattr(lake, method)))
        with pytest.raises(Killed):
            record_run(lake, a_run("r"), of_a_run())


@pytest.mark.parametrize("writes", range(len(WHOLE)))
def test_a_run_killed_between_two_tables_is_not_seen_and_its_repetition_completes_it(
    lake: Lake, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(lake, writes, monkeypatch)
    assert seen(lake) == NOTHING
    assert sum(count > 0 for count in stored(lake).values()) == writes
    killed_after(lake, writes, monkeypatch)
    assert record_run(lake, a_run("r"), of_a_run())
    assert seen(lake) == stored(lake) == WHOLE


def test_what_belongs_to_a_run_comes_back_in_order_and_nothing_of_others(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    record_run(lake, a_run("s"), {"equity": of_a_run()["equity"].assign(cash=9.0)})
    equity = read_run(lake, "r", "equity")
    assert equity["cash"].tolist() == [1.0] * 4
    assert equity["ts"].is_monotonic_increasing
    assert str(equity["ts"].dtype) == "datetime64[us, UTC]"
    signals = read_run(lake, "r", "signals")
    assert dict(signals["indicators"].iloc[0]) == {"fast": 1.0, "slow": 2.0}
    assert read_run(lake, "nobody", "equity").empty
    assert list(read_run(lake, "nobody", "trades")) == TABLES["trades"].schema.names


def test_a_run_that_cannot_be_read_is_one_line(lake: Lake) -> None:
    record_run(lake, a_run("r"), of_a_run())
    next(lake.path("equity").glob("*.parquet")).unlink()
    with pytest.raises(LakeError, match=r"^[^\n]*table equity: [^\n]*$"):
        read_run(lake, "r", "equity")
    assert len(read_run(lake, "r", "metrics")) == 3


def test_rows_that_do_not_fit_leave_no_run_behind(lake: Lake) -> None:
    tables = {**of_a_run(), "metrics": pd.DataFrame({"metric": ["a"], "value": ["not a number"]})}
    with pytest.raises(LakeError, match="table metrics, column value: large_string given, double wanted"):
        record_run(lake, a_run("r"), tables)
    assert seen(lake) == NOTHING
    assert record_run(lake, a_run("r"), of_a_run())
    assert seen(lake) == stored(lake) == WHOLE


def test_the_same_run_in_two_lakes_has_the_same_bytes(tmp_path: Path) -> None:
    lakes = [Lake(tmp_path / name) for name in ("one", "two")]
    for lake in lakes:
        record_run(lake, a_run("r"), of_a_run())
    for name in WHOLE:
        one, two = (next(lake.path(name).glob("*.parquet")).read_bytes() for lake in lakes)
        assert one == two, name


def test_a_run_of_arrow_tables_is_the_run_of_the_same_frames(tmp_path: Path) -> None:
    ways = {"frames": of_a_run()["equity"], "arrow": pa.Table.from_pandas(of_a_run()["equity"], preserve_index=False)}
    for way, rows in ways.items():
        record_run(Lake(tmp_path / way), a_run("r"), {"equity": rows})
    one, two = (read_run(Lake(tmp_path / way), "r", "equity") for way in ways)
    pd.testing.assert_frame_equal(one, two)
