"""What visitors type to search: it is looked for on the loop that serves all of them, so it has an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = 200
"""Characters of what is typed that count."""


def matching(things: Sequence[T], typed: str, said: Callable[[T], str]) -> list[T]:
    """Return the things of which all words occur that were typed; `said` tells of one, in small letters."""
    words = dict.fromkeys(typed[:LONGEST].lower().replace("·", " ").split())  # as labels of runs are parted

    def has_all(text: str) -> bool:
        return all(word in text for word in words)

    return [thing for thing in things if has_all(said(thing))] if words else [*things]
