"""Processes that tests start as a user does: their programs, their environment, ports that are free."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**settings: object) -> dict[str, str]:
    """Return the environment of a user who has set this, whose programs are ours, and who has no Prefect server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    given = {name: str(value) for name, value in settings.items()}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "PREFECT_API_URL": ""} | given
