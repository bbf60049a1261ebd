"""What goes on beside trading: it holds nothing up, and one piece of it is under way at a time."""

from __future__ import annotations

import time
from functools import partial
from threading import Event

import pytest

from flows.aside import Behind


def test_work_behind_holds_nothing_up_and_what_comes_meanwhile_is_left_out() -> None:
    done, go = list[str](), Event()

    def slowly(name: str) -> None:
        go.wait(30)
        done.append(name)

    started = time.monotonic()
    with Behind() as behind:
        for name in ("first", "second", "third"):
            behind.do(partial(slowly, name))
        assert time.monotonic() - started < 5
        assert done == []
        go.set()
    assert done == ["first"]


def test_after_one_piece_the_next_is_taken() -> None:
    done: list[int] = []
    with Behind() as behind:
        for number in (1, 2):
            behind.do(partial(done.append, number))
            deadline = time.monotonic() + 30
            while behind.busy and time.monotonic() < deadline:
                time.sleep(0.001)
    assert done == [1, 2]


def test_what_ends_in_an_error_waits_for_nothing() -> None:
    go = Event()
    started = time.monotonic()

    def interrupted() -> None:
        with Behind() as behind:
            behind.do(lambda: go.wait(30))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - started < 5
    go.set()
