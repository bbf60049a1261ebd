"""The plug-in by which Prefect's command line knows our deployments by one word."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.short_names import NAMES, setup_environment, written_out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("deployment run live-trading", "deployment run live-trading/live-trading"),
        ("deployments run live-trading", "deployments run live-trading/live-trading"),
        ("--no-prompt deployment inspect backtest", "--no-prompt deployment inspect backtest/backtest"),
        ("deployment run --watch live-trading", "deployment run --watch live-trading/live-trading"),
        ("deployment run --name upkeep", "deployment run --name upkeep/upkeep"),
        ("deployment run --tag backtest collect", "deployment run --tag backtest collect/collect"),
        ("deployment schedule ls live-trading", "deployment schedule ls live-trading/live-trading"),
        (
            "deployment run -p symbol=x upkeep -t live-trading",
            "deployment run -p symbol=x upkeep/upkeep -t live-trading",
        ),
    ],
)
def test_a_bare_name_of_ours_is_written_out(typed: str, meant: str) -> None:
    assert " ".join(written_out(typed.split())) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "deployment",
        "deployment run",
        "deployment run live-trading/live-trading",
        "deployment run live-trading/other",
        "deployment run someone-elses",
        "deployment run --tag live-trading",
        "flow-run ls --flow-name live-trading",
        "work-pool create live-trading",
    ],
)
def test_all_else_is_left_as_it_was_typed(typed: str) -> None:
    assert written_out(typed.split()) == typed.split()


@given(st.lists(st.sampled_from([*NAMES, "deployment", "run", "--tag", "--watch", "other/name", "-p", "a=b"])))
def test_at_most_one_word_changes_and_only_once(words: list[str]) -> None:
    changed = written_out(words)
    differing = [(before, after) for before, after in zip(words, changed, strict=True) if before != after]
    assert len(differing) <= 1
    assert all(before in NAMES and after == f"{before}/{before}" for before, after in differing)


@pytest.mark.parametrize(("program", "name"), [("/usr/bin/prefect", "upkeep/upkeep"), ("/usr/bin/pytest", "upkeep")])
def test_only_the_program_prefect_is_touched(program: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program, "deployment", "run", "upkeep"])
    setup_environment(ctx=None)
    assert sys.argv == [program, "deployment", "run", name]


def test_the_installation_offers_it_to_prefect() -> None:
    (found,) = entry_points(group="prefect.plugins", name="short-names")
    assert found.load().setup_environment is setup_environment
