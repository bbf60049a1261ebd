from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from dashboards import queries, run_words
from dashboards.look import NONE, asset, figure, part, theme_of
from dashboards.metric_words import Metrics
from dashboards.queries import Run
from dashboards.search import LONGEST
from dashboards.session import instant_of
from data.metrics import METRICS
from data.views import connect
from data.writer import Lake
from tests.unit import dashboard_lake as rows

EVIL = "<script>alert(1)</script>\" onload='x'"


@pytest.fixture
def run(lake: Lake) -> Run:
    rows.record(lake)
    found = queries.run(connect(lake), "run-1")
    assert found is not None
    return found


def metrics(**values: object) -> pd.DataFrame:
    columns = {"value": None, "low": None, "high": None, "unit": "ratio", "note": None}
    known = {name: columns | (row if isinstance(row, dict) else {"value": row}) for name, row in values.items()}
    return pd.DataFrame.from_dict(known, orient="index", columns=list(columns)).astype({"value": float})


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.0, "fraction", "0.00 %"),
        (-0.31296, "fraction", "-31.30 %"),
        (1234567.891, "quote", "1,234,567.89"),
        (9.0, "count", "9"),
        (412.5, "days", "412.5 days"),
        (None, "ratio", NONE),
        (float("nan"), "ratio", NONE),
        (float("inf"), "ratio", "∞"),
    ],
)
def test_figures_are_written_in_their_unit(value: float | None, unit: str, written: str) -> None:
    assert figure(value, unit) == written


@pytest.mark.parametrize("text", [None, "", "blue", "DARK", '"><script>'])
def test_a_theme_that_is_unknown_is_dark(text: str | None) -> None:
    assert theme_of(text) == "dark"


@pytest.mark.parametrize("text", ["0000-01-01", "-5000-01-01", "10000-01-01", "2024-01-01T00:00Z", "noon", ""])
def test_an_instant_that_cannot_be_asked_for_is_none(text: str) -> None:
    assert instant_of(text) is None


@pytest.mark.parametrize("text", ["0001-01-01", "2024-01-01T12:30", "9999-12-31T23:59:59"])
def test_an_instant_of_the_address_can_be_asked_for(text: str) -> None:
    ts = instant_of(text)
    assert ts == pd.Timestamp(text)
    assert queries.instant(ts).year == ts.year


def test_a_metric_that_this_version_does_not_know_is_shown_by_its_name(run: Run) -> None:
    tables = dict(Metrics(run, metrics(phase_of_the_moon={"value": 0.25, "unit": "fraction"})).portfolio())
    (words,) = tables["Others"]
    assert (words.title, words.value) == ("Phase of the moon", "25.00 %")
    assert "Others" not in dict(Metrics(run, metrics(sharpe_ratio=1.0)).portfolio())


def test_a_tile_shows_its_interval_and_its_meaning(run: Run) -> None:
    tiles = {
        tile.name: tile for tile in Metrics(run, metrics(sharpe_ratio={"value": 1.5, "low": 0.5, "high": 2.5})).tiles()
    }
    assert tiles["sharpe_ratio"].value == "1.50"
    assert tiles["sharpe_ratio"].below == "95 %: 0.50 to 2.50"
    assert tiles["sharpe_ratio"].meaning == METRICS["sharpe_ratio"].meaning


def test_an_interval_stands_beside_its_own_figure_and_not_that_of_the_market(run: Run) -> None:
    figures = {"value": 0.5, "low": 0.1, "high": 0.9}
    told = {tile.name: tile for tile in Metrics(run, metrics(cumulative_return=figures, market_return=0.3)).tiles()}
    assert told["cumulative_return"].below.replace("\N{NO-BREAK SPACE}", " ").startswith("95 %: 10.00 % to 90.00 % · ")


def test_a_value_that_is_absent_says_why(run: Run) -> None:
    told = {tile.name: tile for tile in Metrics(run, metrics(profit_factor={"note": "no losing trade"})).tiles()}
    assert (told["profit_factor"].value, told["profit_factor"].below) == (NONE, "no losing trade")
    assert (told["sortino_ratio"].value, told["sortino_ratio"].below) == (NONE, "not recorded")


def test_a_loss_is_toned_as_one(run: Run) -> None:
    tones = {tile.name: tile.tone for tile in Metrics(run, metrics(cumulative_return=-0.2, cagr=0.1)).tiles()}
    assert (tones["cumulative_return"], tones["cagr"]) == ("bad", "good")


def test_the_portfolio_table_begins_with_the_lessons_five(run: Run) -> None:
    (title, first), *_ = Metrics(run, metrics()).portfolio()
    assert title == "Portfolio"
    lesson = ["Annual Return", "Cumulative Returns", "Annual Volatility", "Sharpe Ratio", "Sortino Ratio"]
    assert [row.title for row in first[:5]] == lesson


def test_every_metric_is_listed_once(run: Run) -> None:
    listed = [row.name for _, table in Metrics(run, metrics()).portfolio() for row in table]
    assert sorted(listed) == sorted(set(METRICS) - {"start", "end"})


@pytest.mark.parametrize("search", ["", "sma", "BTC fast=5", "run-1", "slow=8 csv", "sma_crossover  ·  fast=5"])
def test_a_run_is_found_by_any_of_its_words(run: Run, search: str) -> None:
    assert run_words.matching([run], search) == [run]


@pytest.mark.parametrize("search", ["ema", "sma ETH", "fast=50"])
def test_a_run_is_not_found_by_words_of_others(run: Run, search: str) -> None:
    assert run_words.matching([run], search) == []


def test_a_text_of_megabytes_is_searched_for_as_one_of_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told, words = list[Run](), run_words._words
    monkeypatch.setattr(run_words, "_words", lambda run: told.append(run) or words(run))
    assert run_words.matching([run], "sma btc " * 1_000_000) == [run]
    assert told == [run]
    assert run_words.matching([run], "sma" + " " * LONGEST + "ema") == [run]
    assert run_words.matching([run], "sma" + " " * (LONGEST - 6) + "ema") == []


def test_a_fault_of_the_lake_says_on_a_line_of_its_own_what_to_do() -> None:
    said = part("fault", title="The trades cannot be shown", text="table trades: torn; `jarvis doctor` looks at it")
    assert "<p>table trades: torn</p><p><code>jarvis doctor</code> looks at it</p>" in said
    assert "doctor" not in part("fault", title="No answer", text="no column; see `SELECT`")


def test_what_the_lake_says_is_shown_as_text(run: Run) -> None:
    evil = run._replace(strategy=EVIL, symbol=EVIL, parameters=json.dumps({EVIL: EVIL}), manifest=EVIL, run_id=EVIL)
    shown = [
        run_words.head(evil),
        run_words.absent(EVIL, evil, "dark", page="backtest"),
        part("manifest", run=evil, text=run_words.manifest(evil)),
        part("fault", title=EVIL, text=EVIL),
        part("status", count=EVIL, lake=EVIL, fault=EVIL),
        part("tiles", tiles=Metrics(evil, metrics(profit_factor={"note": EVIL})).tiles()),
        part("portfolio", tables=Metrics(evil, metrics(profit_factor={"note": EVIL})).portfolio()),
    ]
    for html in shown:
        assert "<script" not in html
        assert "onload='" not in html
        assert "&lt;script&gt;" in html


def test_parameters_that_are_no_json_are_shown_as_they_are(run: Run) -> None:
    assert "not json" in run_words.label(run._replace(parameters="not json"))


def test_the_manifest_is_json_to_be_read(run: Run) -> None:
    told = json.loads(run_words.manifest(run))
    assert told["manifest"] == {"strategy": "sma_crossover"}
    assert told["data_fingerprint"] == "00"


def test_a_flow_run_is_linked_in_the_prefect_ui(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_flow = run._replace(flow_run_id="abc")
    monkeypatch.delenv("PREFECT_UI_URL", raising=False)
    monkeypatch.setenv("JARVIS_PREFECT_PORT", "4321")
    assert 'href="http://127.0.0.1:4321/runs/flow-run/abc"' in run_words.head(of_a_flow)
    monkeypatch.setenv("PREFECT_UI_URL", "https://prefect.example/")
    assert 'href="https://prefect.example/runs/flow-run/abc"' in run_words.head(of_a_flow)
    monkeypatch.setenv("PREFECT_UI_URL", "javascript:alert(1)")
    assert "javascript" not in run_words.head(of_a_flow)
    assert "href" not in run_words.head(run)


def test_merged_candles_are_said_to_be_merged(run: Run) -> None:
    long = run._replace(candles=1_000_000, end_ts=run.start_ts + pd.Timedelta(minutes=999_999))
    assert "12 h" in run_words.head(long)
    assert "drawn as" not in run_words.head(run)


def test_no_part_takes_the_name_of_another() -> None:
    names = re.findall(r"{% macro (\w+)", asset("parts.html"))
    assert len(names) == len(set(names)) > 10
