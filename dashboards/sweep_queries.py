"""What the page of sweeps asks of the lake: which parameters vary, a plane of them, samples of the sets, the sets.

However many sets a sweep has, DuckDB merges or samples them to what a screen shows. The charts leave out sets that
failed; the table has them with their reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from dashboards import row_queries
from dashboards.queries import Connection, Rows, Run, frame, read_object
from dashboards.row_queries import Found, Wanted
from data.metrics import METRICS
from data.tables import TABLES
from data.views import scan
from data.writer import Lake

_ACROSS = 40
"""Places that an axis of a plane has at most; values beside each other are merged to get by with them."""

_ALONG = 500
"""The same of a line, which has one axis."""

MARKED = 10
"""So many of the best sets are marked."""

_BEST = 100
"""So many of the best are in every sample."""

MOST_SETS = 500
"""Sets that the parallel coordinates draw at most."""

_MOST_POINTS = 2_000
"""Points of all their lines together."""

_MOST_SCATTERED = 1_500

OBJECTIVE = "objective"
CELLS = ("best", "median")
"""What stands for the sets of a cell: that of the best objective, or the median of all."""

_OUT = ("out_objective", "out_cumulative_return", "out_sharpe_ratio", "out_max_drawdown", "out_trades")
_FIGURES = (
    *("sharpe_ratio", "sortino_ratio", "cumulative_return", "annual_return", "annual_volatility", "max_drawdown"),
    *("trades", "win_rate", "profit_factor", "exposure_time", "fees_paid"),
)


class Terms(NamedTuple):
    """What a sweep was told: the objective's name, and the share of the candles that is in-sample (None: all)."""

    objective: str
    split: float | None


class Parameter(NamedTuple):
    """A parameter that varies; `low` and `high` are None where its values are not numbers."""

    name: str
    values: int
    low: float | None
    high: float | None


class Wish(NamedTuple):
    """What a plane shows: `y` is empty for a line, `cell` one of CELLS."""

    x: str
    y: str
    figure: str
    cell: str


class Axis(NamedTuple):
    """An axis of a plane: a label for each place, from low to high; `merged` tells of several values in one."""

    name: str
    labels: tuple[str, ...]
    merged: bool


class Plane(NamedTuple):
    """Cells with place `x` (and `y`), value, number of the set it is from (of a median, the best), sets in it, and the
    best objective of these."""

    axes: tuple[Axis, ...]
    cells: Rows


class Sample(NamedTuple):
    """The best sets and an even sample of the rest, by rank, out of `total`."""

    total: int
    rows: Rows


class Progress(NamedTuple):
    """A sweep that is not recorded, how many sets of it are in the lake, and of how many (0: nobody said)."""

    run_id: str
    sets: int
    wanted: int
    symbol: str
    timeframe: str
    written: float
    """When the newest file with sets of it was written: seconds since 1970."""


def terms(run: Run) -> Terms:
    """Return what the manifest of a sweep says of it."""
    told = read_object(run.manifest)
    split = told.get("split")
    return Terms(str(told.get("objective", OBJECTIVE)), float(split) if isinstance(split, int | float) else None)


def figures(run: Run) -> dict[str, tuple[str, str]]:
    """Return title and unit of what a plane can show, by column."""
    told = terms(run)
    shown = {OBJECTIVE: (f"Objective ({told.objective})", "ratio")}
    shown |= {name: (METRICS[name].title, METRICS[name].unit) for name in _FIGURES}
    if told.split is not None:
        for name in _OUT:
            title, unit = shown[name.removeprefix("out_")]
            shown[name] = (f"{title}, out-of-sample", unit)
    return shown


def varied(lake: Connection, run: Run) -> list[Parameter]:
    """Return the parameters of which the sets that were tried have more than one value, in the order of the grid."""
    names = list(read_object(run.parameters).get("grid") or {})
    if not names:
        return []
    asked = ", ".join(
        f"count(DISTINCT p{n}), count(p{n}) = count(try_cast(p{n} AS DOUBLE)),"
        f" min(try_cast(p{n} AS DOUBLE)), max(try_cast(p{n} AS DOUBLE))"
        for n in range(len(names))
    )
    row = lake.execute(f"SELECT {asked} FROM ({_tried(names)})", _named(run, names)).fetchall()[0]  # noqa: S608
    found = []
    for n, name in enumerate(names):
        values, numeric, low, high = row[4 * n : 4 * n + 4]
        if values > 1:
            found.append(Parameter(name, int(values), *((float(low), float(high)) if numeric else (None, None))))
    return found


def plane(lake: Connection, run: Run, wish: Wish) -> Plane:
    """Return a figure over one parameter or two; where sets share a cell, what `wish.cell` says stands for them."""
    names = [wish.x, wish.y] if wish.y else [wish.x]
    column = wish.figure if wish.figure in figures(run) else OBJECTIVE
    most = _ACROSS if wish.y else _ALONG
    value = "arg_max(f, [objective, -number])" if wish.cell == "best" else "median(f)"
    places = ", ".join(f"a{n}.place AS {axis}" for n, axis in zip(range(len(names)), "xy", strict=False))
    joins = " ".join(f"JOIN a{n} ON a{n}.p{n} = tried.p{n}" for n in range(len(names)))
    context = ", ".join([f'tried AS MATERIALIZED ({_tried(names, f"{column} AS f")})',
                         *(_places(n, most) for n in range(len(names)))])  # fmt: skip
    cells = frame(
        lake,
        f"""WITH {context}
        SELECT {places}, {value} FILTER (objective IS NOT NULL) AS value, count(*) AS sets,
            arg_max(number, [objective, -number]) FILTER (objective IS NOT NULL) AS number, max(objective) AS objective
        FROM tried {joins} GROUP BY {", ".join("xy"[: len(names)])} ORDER BY ALL""",  # noqa: S608
        _named(run, names),
    )
    axes = tuple(_axis(lake, run, name, most) for name in names)
    return Plane(axes, cells)


def best_and_rest(lake: Connection, run: Run, names: tuple[str, ...]) -> Sample:
    """Return objective, rank, number and these parameters (as p0, p1 and so on, texts) of up to 500 sets."""
    most = min(MOST_SETS, _MOST_POINTS // (len(names) + 1))
    return _sample(lake, run, list(names), "objective IS NOT NULL", min(_BEST, most // 2), most)


def both_samples(lake: Connection, run: Run) -> Sample:
    """Return objective, out_objective, rank, out_rank, number and parameters of sets that have both objectives."""
    return _sample(lake, run, [], "objective IS NOT NULL AND out_objective IS NOT NULL", _BEST, _MOST_SCATTERED)


def under_way(lake: Connection, store: Lake) -> list[Progress]:
    """Return the sweeps of which there are sets, but no record yet: views hide those, so this looks at the files."""
    delta = store.table("sweeps")
    files = [] if delta is None else store.files("sweeps", delta)
    if delta is None or not files:
        return []
    rows = lake.execute(
        f"""SELECT run_id, count(DISTINCT number), max(wanted), max(symbol), max(timeframe)
        FROM ({scan(TABLES["sweeps"], delta, files)})
        WHERE run_id NOT IN (SELECT run_id FROM runs) GROUP BY 1 ORDER BY 1"""  # noqa: S608
    ).fetchall()
    written = _written(lake, files) if rows else {}
    return [
        Progress(str(run_id), int(sets), int(wanted or 0), symbol or "", timeframe or "", written[run_id])
        for run_id, sets, wanted, symbol, timeframe in rows
    ]


def _written(lake: Connection, files: list[str]) -> dict[str, float]:
    """Return when the newest file with rows of each run was written."""
    named = lake.execute("SELECT DISTINCT run_id, filename FROM read_parquet(?, filename = true)", [files]).fetchall()
    times = {file: Path(file).stat().st_mtime for file in files}
    found: dict[str, float] = {}
    for run_id, file in named:
        found[run_id] = max(found.get(run_id, 0.0), times[file])
    return found


SET_COLUMNS = {
    "rank": "rank", "number": "number", "parameters": "parameters", "objective": "objective",
    "out_objective": "out_objective", "sharpe": "sharpe_ratio", "return": "cumulative_return",
    "drawdown": "max_drawdown", "trades": "trades", "win_rate": "win_rate", "out_return": "out_cumulative_return",
    "backtest": "backtest", "reason": "reason",
}  # fmt: skip
"""What sorts the table of sets, by key."""

_SET_WORDS = """concat_ws(' ', '#' || number, translate(replace(parameters, '":', '='), ',{}"', ' '),
    if(failure IS NOT NULL, 'failed', NULL), reason, backtest)"""

_SWEEPS_OWN = dict.fromkeys(
    ("kind", "parameters", "code_version", "seed", "random", "optuna", "objective", "objectives", "split", "split_at",
     "walk_forward")
)  # fmt: skip


def _alike(runs: str) -> str:
    """Return what a sweep's manifest has in common with those of its best sets, which are run in full."""
    return f"json_merge_patch({runs}.manifest, '{json.dumps(_SWEEPS_OWN)}')"


_BACKTESTS = f"""
    SELECT swept.run_id AS sweep, backtests.parameters, arg_max(backtests.run_id, backtests.created_at) AS id
    FROM runs AS swept JOIN runs AS backtests ON swept.kind = 'sweep' AND backtests.kind = 'backtest'
        AND swept.data_fingerprint = backtests.data_fingerprint AND swept.strategy = backtests.strategy
        AND {_alike("swept")} = {_alike("backtests")}
    GROUP BY ALL"""  # noqa: S608
_SETS = f"""(
    SELECT sweeps.*, rank() OVER (PARTITION BY run_id ORDER BY objective DESC NULLS LAST, number) AS rank,
        coalesce(failure, note) AS reason, own.id AS backtest
    FROM sweeps LEFT JOIN ({_BACKTESTS}) AS own ON own.sweep = run_id AND own.parameters = sweeps.parameters)"""  # noqa: S608


def sets(lake: Connection, run: Run, wanted: Wanted = Wanted()) -> Found:  # noqa: B008 - it is frozen
    """Return a page of the sets, by default the best first; `backtest` is the run of one that was run in full."""
    return row_queries.page(lake, run, _SETS, SET_COLUMNS, _SET_WORDS, wanted)


def sets_whole(lake: Connection, run: Run, wanted: Wanted) -> pa.Table:
    """Return the sets that have the wanted words, in the wanted order, with all their figures."""
    select = f"SELECT rank, * EXCLUDE (run_id, blocks, rank, reason) FROM {_SETS}"  # noqa: S608
    return row_queries.whole(lake, run, select, SET_COLUMNS, _SET_WORDS, wanted)


def _sample(lake: Connection, run: Run, names: list[str], condition: str, best: int, most: int) -> Sample:
    rows = frame(
        lake,
        f"""WITH ranked AS (
            SELECT *, row_number() OVER (ORDER BY objective DESC, number) AS rank, count(*) OVER () AS total,
                rank() OVER (ORDER BY out_objective DESC NULLS LAST) AS out_rank
            FROM ({_tried(names, "out_objective", "parameters")}) WHERE {condition})
        SELECT * FROM ranked
        WHERE rank <= {best} OR (rank - {best}) % greatest(1, ceil((total - {best}) / {most - best})) = 0
        ORDER BY rank""",  # noqa: S608
        _named(run, names),
    )
    return Sample(int(rows["total"].iloc[0]) if len(rows) else 0, rows)


def _tried(names: list[str], *more: str) -> str:
    """Return a SELECT of the sets that were tried, with parameters as texts p0, p1 and so on."""
    texts = [f"json_extract_string(parameters, $p{n}) AS p{n}" for n in range(len(names))]
    columns = ", ".join(["number", OBJECTIVE, *more, *texts])
    return f"SELECT {columns} FROM sweeps WHERE run_id = $run AND failure IS NULL"  # noqa: S608


def _named(run: Run, names: list[str]) -> dict[str, object]:
    """Return the values of a query over `_tried`: names of parameters as JSON pointers, whatever stands in them."""
    pointers = ("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    return {"run": run.run_id, **{f"p{n}": pointer for n, pointer in enumerate(pointers)}}


def _places(n: int, most: int) -> str:
    """Return the table a0 (a1) of a parameter's values with their places, from low to high, no more than `most`."""
    order = f"try_cast(p{n} AS DOUBLE) NULLS LAST, p{n}"
    return f"""a{n} AS MATERIALIZED (
        SELECT p{n}, row_number() OVER (ORDER BY {order}) AS nth,
            (row_number() OVER (ORDER BY {order}) - 1) * least({most}, count(*) OVER ()) // count(*) OVER () AS place
        FROM (SELECT DISTINCT p{n} FROM tried WHERE p{n} IS NOT NULL))"""  # noqa: S608


def _axis(lake: Connection, run: Run, name: str, most: int) -> Axis:
    rows = lake.execute(
        f"""WITH tried AS ({_tried([name])}), {_places(0, most)}
        SELECT arg_min(p0, nth), arg_max(p0, nth) FROM a0 GROUP BY place ORDER BY place""",  # noqa: S608
        _named(run, [name]),
    ).fetchall()
    labels = tuple(first if first == last else f"{first} to {last}" for first, last in rows)
    return Axis(name, labels, any(first != last for first, last in rows))
