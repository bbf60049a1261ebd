"""The command line as a test calls it, and how a command ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Jarvis = Callable[..., Done]


def fails(done: Done, code: int, words: str) -> None:
    """The command ended so, with one line that says this."""
    assert (done.code, done.out) == (code, ""), done
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" not in done.err


def only(done: Done) -> dict[str, Any]:
    """What a step of one symbol told in JSON."""
    assert done.code == 0, done.err
    (outcome,) = done.json
    found: dict[str, Any] = outcome
    return found
