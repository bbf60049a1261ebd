"""The admin port of a practice exchange: faults, clock, journal, state, restart. For this machine's programs only.

GET    /status                                        time, speed, markets, what is broken
GET    /faults     POST /faults     DELETE /faults    {"kind": "hang_after", "endpoint": "AddOrder", "times": 1}
POST   /clock                                         {"speed": 60 | "max", "pause": true, "step": 3.5, "skew": -2}
GET    /journal?limit=100&endpoint=AddOrder&client_id=x
GET    /journal/orders?client_id=x                    how many orders did this client id make?
GET    /state      GET /check                         dump; whether the books add up
POST   /deposit                                       {"currency": "USD", "amount": "-10.5", "silent": true}
POST   /keys                                          {"key": "PRACTICE-1", "permissions": ["query"]}
POST   /restart                                       {"drop_connections": true}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import BadInput, Refused
from tasks.exchange.matching.engine import InvariantBroken
from tasks.exchange.practice.keys import PREFIX, Permission
from tasks.exchange.practice.server.http import Server, is_this_machine
from tasks.exchange.units import SECOND

_DAY = 86_400


class Wanted(BaseModel):
    """What a request asks for, in its query or its body."""

    model_config = ConfigDict(extra="forbid")


class ClockWanted(Wanted):
    """What is to become of the clock; several things are done in this order."""

    speed: float | Literal["max"] | None = None
    pause: Literal[True] | None = None
    resume: Literal[True] | None = None
    step: float | None = Field(None, ge=0, le=31 * _DAY)
    """Seconds."""
    skew: float | None = Field(None, ge=-_DAY, le=_DAY)
    """Seconds, until told otherwise; the fault of that name is for a number of requests."""


class JournalWanted(Wanted):
    """Which entries."""

    limit: int = Field(100, ge=0, le=1_000_000)
    endpoint: str = "*"
    """Pattern of a path or of its last part."""
    client_id: str | None = None


class OrdersWanted(Wanted):
    """Whose orders."""

    client_id: str


class DepositWanted(Wanted):
    """Money from outside; a negative amount is withdrawn."""

    currency: str = Field(pattern="^[A-Z0-9]{1,20}$")
    amount: Decimal = Field(allow_inf_nan=False, max_digits=40)
    silent: bool = False
    """A fault: the balance moves, and the account's ledger does not tell of it."""


class KeyWanted(Wanted):
    """What a key may do from now on."""

    key: str = Field(pattern=f"^{PREFIX}.")
    permissions: set[Permission]


class RestartWanted(Wanted):
    """A restart from what is saved, in this process."""

    drop_connections: bool = False


class Admin:
    """What can be asked of the admin port. Everything is answered at once, with JSON."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._venue = server.venue
        self._operations: dict[tuple[str, str], tuple[type[Wanted], Callable[[Any], Any]]] = {
            ("GET", "/status"): (Wanted, self.status),
            ("GET", "/faults"): (Wanted, self.faults),
            ("DELETE", "/faults"): (Wanted, self.clear_faults),
            ("POST", "/clock"): (ClockWanted, self.clock),
            ("GET", "/journal"): (JournalWanted, self.journal),
            ("GET", "/journal/orders"): (OrdersWanted, self.orders),
            ("GET", "/state"): (Wanted, self.state),
            ("GET", "/check"): (Wanted, self.check),
            ("POST", "/deposit"): (DepositWanted, self.deposit),
            ("POST", "/keys"): (KeyWanted, self.keys),
            ("POST", "/restart"): (RestartWanted, self.restart),
        }

    def answer(self, method: str, path: str, asked: Any) -> Any:
        """Carry out an operation and return what it says. BadInput or Refused, in one line, when it cannot be."""
        if (method, path) == ("POST", "/faults"):
            return self._venue.faults.add(asked).describe()
        if (method, path) not in self._operations:
            raise BadInput(f"there is no {method} {path}: {', '.join(' '.join(known) for known in self._operations)}")
        model, operation = self._operations[method, path]
        try:
            wanted = model.model_validate(asked)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the body"
            raise BadInput(f"{place} cannot be used: {first['msg'].lower()}") from None
        return operation(wanted)

    def status(self, _: Wanted) -> dict[str, Any]:
        """Tell how it stands."""
        exchange = self._venue.exchange
        return {
            "time": exchange.clock.now() / SECOND,
            "speed": "max" if self._venue.fastest else exchange.clock.speed,
            "paused": exchange.clock.paused and not self._venue.fastest,
            "skew": exchange.clock.skew / SECOND,
            "status": exchange.status,
            "markets": {symbol: exchange.engine.last(symbol) for symbol in exchange.markets},
            "faults": len(self._venue.faults.standing),
            "broken": self._venue.broken,
        }

    def faults(self, _: Wanted) -> dict[str, Any]:
        """List the faults in force."""
        return {"faults": [standing.describe() for standing in self._venue.faults.standing]}

    def clear_faults(self, _: Wanted) -> dict[str, Any]:
        """Put an end to all faults."""
        return {"cleared": self._venue.faults.clear()}

    def clock(self, wanted: ClockWanted) -> dict[str, Any]:
        """Set the clock."""
        self._venue.change(lambda: self._set_clock(wanted))
        return self.status(wanted)

    def journal(self, wanted: JournalWanted) -> dict[str, Any]:
        """Return the latest requests, newest last."""
        self._venue.save()
        journal = self._venue.store.journal
        entries = journal.latest(wanted.limit, wanted.endpoint, wanted.client_id)
        return {"count": journal.count(), "entries": entries}

    def orders(self, wanted: OrdersWanted) -> dict[str, Any]:
        """Tell how many orders a client id ever made, and which."""
        self._venue.save()
        ids = self._venue.store.orders_of(wanted.client_id)
        return {"orders": len(ids), "ids": ids}

    def state(self, _: Wanted) -> dict[str, Any]:
        """Return what the account has, and what is open."""
        self._venue.exchange.sync()
        engine = self._venue.exchange.engine
        return {
            "balances": {
                currency: {"total": balance.total, "held": balance.held, "free": balance.free}
                for currency, balance in engine.balances().items()
            },
            "open_orders": [
                {"id": order.id, "filled": order.filled}
                | {name: getattr(order.request, name) for name in order.request.__slots__}
                for order in engine.open_orders()
            ],
            "orders": len(engine.orders),
            "fills": len(engine.fills),
            "broken": self._venue.broken,
        }

    def check(self, _: Wanted) -> dict[str, Any]:
        """Tell whether the books add up."""
        try:
            self._venue.exchange.engine.check()
        except InvariantBroken as error:
            return {"sound": False, "broken": str(error)}
        return {"sound": not self._venue.broken, "broken": self._venue.broken}

    def deposit(self, wanted: DepositWanted) -> dict[str, Any]:
        """Add money or take it away."""
        exchange = self._venue.exchange
        exchange.sync()
        self._venue.change(lambda: exchange.deposit(wanted.currency, wanted.amount, silent=wanted.silent))
        return {"currency": wanted.currency, "total": exchange.engine.balances()[wanted.currency].total}

    def keys(self, wanted: KeyWanted) -> dict[str, Any]:
        """Set what a key may do."""
        self._venue.change(lambda: self._venue.keys.permit(wanted.key, wanted.permissions))
        return {"key": wanted.key, "permissions": sorted(wanted.permissions)}

    def restart(self, wanted: RestartWanted) -> dict[str, Any]:
        """Start again from what is saved."""
        self._server.restart(drop_connections=wanted.drop_connections)
        return self.status(wanted)

    def _set_clock(self, wanted: ClockWanted) -> None:
        clock = self._venue.exchange.clock
        if wanted.speed is not None:
            self._venue.set_speed(wanted.speed)
        if wanted.pause:
            self._venue.fastest = False
            clock.pause()
        if wanted.resume:
            self._venue.fastest = False
            clock.resume()
        if wanted.step:
            clock.step(round(wanted.step * SECOND))
        if wanted.skew is not None:
            clock.skew = round(wanted.skew * SECOND)


def admin_server(server: Server) -> web.Server:
    """Return what answers at the admin port: programs of this machine, and no page of a browser."""
    admin = Admin(server)

    async def handle(request: web.BaseRequest) -> web.Response:
        if not is_this_machine(request.host) or "Origin" in request.headers:
            return _json({"error": "the admin port is for programs of this machine, not for web pages"}, 403)
        if request.method == "POST" and request.content_type != "application/json":
            return _json({"error": "send JSON, with Content-Type: application/json"}, 415)
        try:
            body = json.loads(await request.text() or "{}") if request.method == "POST" else dict(request.query)
            return _json(admin.answer(request.method, request.path, body))
        except ValueError as error:
            return _json({"error": f"the body is no JSON: {error}"}, 400)
        except (BadInput, Refused) as error:
            return _json({"error": str(error)}, 400)

    return web.Server(handle, access_log=None)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=lambda known: json.dumps(known, default=_decimal))


def _decimal(value: Decimal) -> str:
    """Write money as a text without exponent."""
    return f"{value:f}"
