"""What a person should hear of, and what happened: events in Prefect, and a message to an address of the user's."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from urllib.request import Request, urlopen

from prefect.events import emit_event

from data.errors import BadInput
from data.settings import settings
from flows.aside import aside
from flows.report import flow_run_id

ALERTS = frozenset({"failure", "halted", "unknown_order", "reconciliation", "stale_data"})
"""Kinds that a person is told of; the others, such as `fill`, are events alone."""

TIMEOUT = 5.0
"""Seconds that a message may take."""

AGAIN = 600.0
"""Seconds until the same kind of alert is sent again for a session: what lasts is told at every candle."""


def alert(kind: str, text: str, *, run: str) -> None:
    """Tell of something that happened in a session (its `run_id`), in one line of text.

    While a flow run is under way, Prefect gets the event `jarvis.alert.<kind>`, or `jarvis.<kind>` for what is no
    alert, of the resource `jarvis.session.<run_id>`. An alert also goes to JARVIS_ALERT_URL, where that is set, unless
    one of its kind did so minutes ago. To be called when trading is done: it may take `TIMEOUT`. Raises nothing.
    """
    if flow_run_id() is not None:
        resource = {"prefect.resource.id": f"jarvis.session.{run}", "prefect.resource.name": f"session {run}"}
        emit_event(event_name(kind), resource, payload={"kind": kind, "text": text, "run_id": run})
    address = settings().alert_url
    if kind in ALERTS and address is not None and _is_news(f"{run}-{kind}"):
        message = {"kind": kind, "text": text, "run_id": run, "at": datetime.now(UTC).isoformat()}
        aside(f"sending the alert '{kind}'", lambda: _send(address.get_secret_value(), message), TIMEOUT)


def event_name(kind: str) -> str:
    """Return the name of the event in Prefect.

    >>> event_name("unknown_order"), event_name("fill")
    ('jarvis.alert.unknown_order', 'jarvis.fill')
    """
    return f"jarvis.alert.{kind}" if kind in ALERTS else f"jarvis.{kind}"


def _is_news(name: str) -> bool:
    """Tell whether nothing so named was sent lately, and remember that it is now."""
    place = settings().state / "alerts" / name
    try:
        if place.exists() and time.time() - place.stat().st_mtime < AGAIN:
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    except OSError:
        pass  # twice is better than never
    return True


def _send(address: str, message: dict[str, str]) -> None:
    # Not with httpx: it logs the addresses that it calls, and whoever has this one can send alerts.
    if not address.startswith(("https://", "http://")):
        raise BadInput("JARVIS_ALERT_URL cannot be used: give an address that begins with https:// or http://")
    request = Request(address, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST")  # noqa: S310
    with urlopen(request, timeout=TIMEOUT):  # noqa: S310 - both schemes are looked at above
        pass
