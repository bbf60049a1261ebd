"""Faults that a practice exchange is told to have, and which requests they strike.

A request passes four stages, and a fault acts at one of them (`mischief` is what it does there):

    before    no work is done; the client gets something else
    work      the exchange itself is different while it does the work
    body      the work is done as ever; what the answer says is not what it should
    answer    the work is done as ever; the answer does not reach the client as it is

A request is struck by one fault of each stage at most, the one put in force first; by nothing after one of `before`.
"""

from __future__ import annotations

import random
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from data.errors import BadInput, unknown
from tasks.exchange.practice.exchange import Status

Stage = Literal["before", "work", "body", "answer"]
STAGES: tuple[Stage, ...] = get_args(Stage)

_ORDERS = ("*/AddOrder", "*/AddOrderBatch", "*/order/submit")
_CANDLES = ("/0/public/OHLC", "/v2/candles/*")
_PUBLIC = ("/0/public/*", "/v2/ticker*", "/v2/candles/*", "/v2/book/*", "/v2/trades/*")
_PATHS = {
    "stale": _PUBLIC,
    "partial_fill": _ORDERS,
    "no_id": _ORDERS,
    "null_result": ("/0/*",),
    "candles_missing": _CANDLES,
    "candles_duplicated": _CANDLES,
    "candles_disordered": _CANDLES,
}
"""The only paths at which a kind makes sense, where these are not all."""


class Fault(BaseModel):
    """What all faults have. Without `times` and `probability` every request of the endpoint is struck, for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: ClassVar[Stage] = "answer"

    kind: str
    endpoint: str = Field("*", min_length=1)
    """Pattern of a path or of its last part, as of file names: AddOrder, *Order*, /v2/candles/*."""
    times: int | None = Field(None, ge=1)
    """How many requests it strikes before it is over."""
    probability: float = Field(1.0, gt=0, le=1)
    """Of a request of its endpoint to be struck."""
    seed: int = 0
    """Of the dice that the probability is thrown with."""

    @property
    def stage(self) -> Stage:
        """Where on a request's way it acts."""
        return "before" if self.kind.endswith("_before") else self.at

    def concerns(self, path: str) -> bool:
        """Tell whether requests of this path can be struck."""
        named = fnmatchcase(path, self.endpoint) or fnmatchcase(path.rpartition("/")[2], self.endpoint)
        return named and any(fnmatchcase(path, pattern) for pattern in _PATHS.get(self.kind, ("*",)))


class Loss(Fault):
    """The connection hangs until the client goes, or is reset, or ends at a bad gateway: the work done, or not."""

    kind: Literal["hang_before", "reset_before", "hang_after", "reset_after", "bad_gateway_after"]


class Garbling(Fault):
    """An answer of HTTP 200, its work done, that is not what it ought to be."""

    kind: Literal["truncated", "html", "empty", "null", "empty_object", "empty_list"]


class Drip(Fault):
    """The answer arrives byte for byte over some seconds."""

    kind: Literal["drip"]
    seconds: float = Field(5.0, gt=0, le=3600)


class _Error(Fault):
    worked: bool = False
    """Whether the request is carried out none the less."""

    @property
    def stage(self) -> Stage:
        """Before the work, or after it."""
        return "answer" if self.worked else "before"


class ExchangeError(_Error):
    """An error in the wire's own envelope."""

    kind: Literal["error"]
    message: str = Field(min_length=1)
    """Kraken's whole text, such as EService:Unavailable; or Bitfinex's message."""
    code: int = 10000
    """Bitfinex's number."""


class HttpError(_Error):
    """A page of what stands in front of the exchange."""

    kind: Literal["http"]
    status: int = Field(ge=400, le=599)


class Omission(Fault):
    """The answer lacks its result, or the id of the order that it placed; or candles, or has them twice, or jumbled."""

    at = "body"
    kind: Literal["null_result", "no_id", "candles_missing", "candles_duplicated", "candles_disordered"]


class Stale(Fault):
    """Public answers are those of some seconds ago."""

    at = "work"
    kind: Literal["stale"]
    seconds: float = Field(3600, gt=0, le=7 * 86400)


class Skew(Fault):
    """The time that the exchange tells is off by some seconds; the time that rules is not."""

    at = "work"
    kind: Literal["skew"]
    seconds: float = Field(ge=-86400, le=86400)


class Maintenance(Fault):
    """The exchange is closed for maintenance, or takes some orders only."""

    at = "work"
    kind: Literal["maintenance"]
    status: Status = "maintenance"


class PartialFill(Fault):
    """An order fills this fraction of itself at most, and the exchange cancels the rest."""

    at = "work"
    kind: Literal["partial_fill"]
    fraction: Decimal = Field(Decimal("0.5"), ge=0, lt=1)


_MODELS = (
    Loss,
    Garbling,
    Drip,
    ExchangeError,
    HttpError,
    Omission,
    Stale,
    Skew,
    Maintenance,
    PartialFill,
)
_FAULT: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        Loss | Garbling | Drip | ExchangeError | HttpError | Omission | Stale | Skew | Maintenance | PartialFill,
        Field(discriminator="kind"),
    ]
)
KINDS: tuple[str, ...] = tuple(kind for model in _MODELS for kind in get_args(model.model_fields["kind"].annotation))
"""All there are."""


class Standing:
    """A fault in force."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0
        self._dice = random.Random(fault.seed)  # noqa: S311  it must be repeatable, not secret

    def strikes(self, path: str) -> bool:
        """Tell whether a request of this path is struck, and count it."""
        over = self.fault.times is not None and self.struck >= self.fault.times
        if over or not self.fault.concerns(path) or self._dice.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return the fault and how often it has struck, fit for JSON."""
        return {**self.fault.model_dump(mode="json"), "stage": self.fault.stage, "struck": self.struck}


class Faults:
    """All faults in force, oldest first. One whose times are over stays to be seen until all are cleared."""

    def __init__(self) -> None:
        self.standing: list[Standing] = []

    def add(self, wanted: object) -> Standing:
        """Put a fault in force, given as JSON; BadInput, in one line, when it is none."""
        if not isinstance(wanted, dict):
            raise BadInput(
                'a fault is a JSON object such as {"kind": "hang_after", "endpoint": "AddOrder", "times": 1}'
            )
        if wanted.get("kind") not in KINDS:
            raise unknown("fault", str(wanted.get("kind")), KINDS)
        try:
            standing = Standing(_FAULT.validate_python(wanted))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"][1:])
            raise BadInput(f"{place} of the fault {wanted['kind']} cannot be used: {first['msg'].lower()}") from None
        self.standing.append(standing)
        return standing

    def clear(self) -> int:
        """Put an end to all, and return how many there were."""
        count = len(self.standing)
        self.standing.clear()
        return count

    def strike(self, path: str) -> dict[Stage, Fault]:
        """Return the faults that a request of this path meets, by stage."""
        met: dict[Stage, Fault] = {}
        for stage in STAGES:
            for standing in self.standing:
                if standing.fault.stage == stage and standing.strikes(path):
                    met[stage] = standing.fault
                    break
            if "before" in met:
                break
        return met
