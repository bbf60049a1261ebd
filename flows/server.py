"""The Prefect server on loopback, and how it is closed to every page and person but its user.

As installed, Prefect's server takes any request from any page that is open in a browser on the machine. Ours asks for a
password (in `.env`, readable by its owner alone), checks CSRF tokens, and names itself as the only origin.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import httpx
from dotenv import dotenv_values, set_key

from data.errors import BadInput
from data.settings import CHECKOUT, settings

ENV_FILE = CHECKOUT / ".env"


def api_url() -> str:
    """Return the address of the Prefect API: `PREFECT_API_URL`, or our own on loopback."""
    return os.environ.get("PREFECT_API_URL") or f"http://127.0.0.1:{settings().prefect_port}/api"


def load_environment() -> None:
    """Take Prefect's settings from `.env` into the environment, wherever the command was started.

    What the environment has already is kept. To be called before `prefect` is imported.
    """
    for name, value in dotenv_values(ENV_FILE).items():
        if name.startswith("PREFECT_") and value is not None:
            os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # errors are told once, by us
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")  # and that the server is gone, once
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "flows,tasks")  # a run's page shows what we log
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")  # seconds; its own 180 shows a dead run late
    os.environ.setdefault("DO_NOT_TRACK", "1")


def answers(url: str, seconds: float = 1.0) -> bool:
    """Tell whether a Prefect server answers at an API address."""
    try:
        return httpx.get(f"{url}/health", timeout=seconds).json() is True
    except (httpx.HTTPError, ValueError):
        return False


def admits(url: str, seconds: float = 5.0) -> bool:
    """Tell whether the server takes our password."""
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    auth = httpx.BasicAuth(user, password) if user else None
    try:
        return httpx.get(f"{url}/admin/version", auth=auth, timeout=seconds).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def server_ready() -> bool:
    """Tell whether runs can be recorded: a Prefect server is set (`PREFECT_API_URL`) and answers.

    One that is busy has as long for it as Prefect gives a request, `PREFECT_API_REQUEST_TIMEOUT`: 5 s unless it is set.
    """
    seconds = float(os.environ.get("PREFECT_API_REQUEST_TIMEOUT") or 5.0)
    return bool(os.environ.get("PREFECT_API_URL")) and answers(api_url(), seconds) and admits(api_url(), seconds)


def ensure_password(env_file: Path = ENV_FILE) -> None:
    """Put the server's address and a new password into `.env` and the environment, unless they are there."""
    os.environ.setdefault("PREFECT_API_URL", api_url())
    if os.environ.get("PREFECT_API_AUTH_STRING"):
        return
    os.environ["PREFECT_API_AUTH_STRING"] = f"jarvis:{secrets.token_urlsafe(18)}"
    env_file.touch(mode=0o600)
    env_file.chmod(0o600)
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        set_key(env_file, name, os.environ[name], quote_mode="never")


def start_command() -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that start the server at `api_url()`.

    Raises BadInput when the address is not on this machine.
    """
    url = httpx.URL(api_url())
    if url.host not in ("127.0.0.1", "localhost"):
        raise BadInput(f"no Prefect server answers at {url}: start it there, or unset PREFECT_API_URL")
    port = url.port or 4200
    origin = f"http://{url.host}:{port}"
    database = settings().state / "prefect.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    closed = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_SERVER_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"],
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",  # else a
        # server that is started anew forgets who holds a deployment's only place, and never gives it back
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT10M",  # an hour of short candles is many rows
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "7776000",  # seconds: 90 days of runs
        "PREFECT_SERVER_UI_API_URL": f"{origin}/api",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return command, {**os.environ, **closed}
