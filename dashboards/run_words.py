"""A run in words: its label, the chips under its name, its manifest, and what is said where there is none."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from dashboards import search
from dashboards.look import part
from dashboards.queries import Run
from data.settings import settings


def label(run: Run) -> str:
    """Return one line that tells a run from the others."""
    return "  ·  ".join([run.strategy, *filter(None, [_parameters(run)]), f"{run.symbol} {run.timeframe}", run.run_id])


def option(run: Run) -> dict[str, str]:
    """Return a run as the picker lists it."""
    where = " ".join([run.symbol, run.timeframe, run.exchange, *([run.mode] if run.is_session else [])])
    when = f"{run.created_at:%Y-%m-%d %H:%M}"
    return {"id": run.run_id, "title": run.strategy, "details": _parameters(run), "where": where, "when": when}


def matching(runs: Sequence[Run], typed: str) -> list[Run]:
    """Return the runs in whose line of the picker all the words occur that were typed."""
    return search.matching(runs, typed, _words)


@lru_cache(20_000)
def _words(run: Run) -> str:
    """Return what is searched of a run: made once, as a key that is typed is looked for in thousands."""
    return " ".join(option(run).values()).lower()


def head(run: Run, links: Sequence[tuple[str, str]] = ()) -> str:
    """Return the run's name and its circumstances as HTML, with further links: their words and addresses."""
    chips = [
        ("", f"{run.symbol} {run.timeframe}"),
        ("from", run.exchange),
        ("mode", run.mode if run.is_session else ""),
        ("", _parameters(run)),
        ("", f"{run.start_ts:%d %b %Y} to {run.end_ts:%d %b %Y}"),
        ("candles", f"{run.candles:,}"),
        ("run", run.run_id),
        ("begun" if run.is_session else "recorded", f"{run.created_at:%Y-%m-%d %H:%M} UTC"),
    ]
    if run.bucket and run.kind != "sweep":
        chips.insert(6, ("as a whole drawn as candles of", _span(run.bucket)))
    return part("head", run=run, chips=[chip for chip in chips if chip[1]], prefect=_prefect(run), links=links)


def manifest(run: Run) -> str:
    """Return the manifest, indented, and with it what the run says of its code and data."""
    facts = {
        "manifest": _json(run.manifest),
        "code_version": run.code_version,
        "data_fingerprint": run.data_fingerprint,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False)


_FIRST = {
    "backtest": ["jarvis backtest --exchange sample --symbol AAPL", "jarvis strategies      # what else can be run"],
    "sweep": [
        "jarvis sweep --exchange sample --symbol AAPL --split 0.7 \\",
        "    --grid fast=5:50:5 --grid slow=20:200:20",
    ],
    "session": ["jarvis practice-exchange --symbol BTC/USD --speed 60", "jarvis live --exchange practice --stream"],
}


def none_yet(noun: str) -> str:
    """Return what to do with a lake that has no runs of this kind."""
    text = "This page fills by itself as soon as the first one is recorded. In the checkout, run:"
    return part("message", title=f"No {noun} yet", text=text, commands=_FIRST[noun])


def absent(wanted: str, newest: Run, theme: str, *, page: str) -> str:
    """Return what to do about a run that the lake does not have."""
    noun = "session" if newest.is_session else newest.kind
    address = "?" + urlencode({"page": page, "run": newest.run_id, "theme": theme})
    return part("absent", wanted=wanted, noun=noun, newest=newest, address=address)


def _parameters(run: Run) -> str:
    named = _json(run.parameters)
    if not isinstance(named, dict):
        return run.parameters
    if run.kind == "sweep":  # what is fixed, and then the grid
        named = {name: word for part in named.values() if isinstance(part, dict) for name, word in part.items()}
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in named.items()}
    return " ".join(f"{name}={word}" for name, word in words.items())


def _span(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _prefect(run: Run) -> str:
    if not run.flow_run_id:
        return ""
    base = os.environ.get("PREFECT_UI_URL") or f"http://127.0.0.1:{settings().prefect_port}"
    if urlsplit(base).scheme not in {"http", "https"}:
        return ""
    return f"{base.rstrip('/')}/runs/flow-run/{run.flow_run_id}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
