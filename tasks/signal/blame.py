"""What went wrong in a strategy's own code: the line, and the message as one line."""

from __future__ import annotations

import traceback


def line_in(source: str, error: BaseException) -> int | None:
    """Return the last line of the file `source` that the error passed through; None if it did not."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
    return lines[-1] if lines else None


def one_line(error: BaseException) -> str:
    """Return the error's type and message as one line, without pydantic's links to its manual."""
    lines = [line.strip() for line in str(error).splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith("For further information"))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
