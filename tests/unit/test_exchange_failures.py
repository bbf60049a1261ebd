"""What a failed call means: try later, never again, or find out; for reads and for orders."""

from __future__ import annotations

import json

import pytest

from data.errors import BadInput, ExchangeError, OutcomeUnknown, Refused, TryLater
from tasks.exchange.failures import said, sort_failure
from tests.servers.canned_exchange import CannedExchange, canned_exchange, refusal

LATER = [
    "EAPI:Rate limit exceeded",
    "EOrder:Rate limit exceeded",
    "EOrder:Orders limit exceeded",
    "EGeneral:Temporary lockout",
    "EGeneral:Too many requests",
    "EAPI:Invalid nonce",
    "EService: Throttled: 1768480200",
    "EService:Market in cancel_only mode",
    "EService:Market in post_only mode",
    "EService:Market in limit_only mode",
]
NEVER = [
    "EOrder:Insufficient funds",
    "EOrder:Order minimum not met",
    "EOrder:Cost minimum not met",
    "EOrder:Tick size check failed",
    "EOrder:Invalid price",
    "EOrder:Invalid price:Invalid price argument",
    "EOrder:Post only order",
    "EOrder:Unknown order",
    "EOrder:Invalid order",
    "EOrder:Trading agreement required",
    "EGeneral:Invalid arguments",
    "EGeneral:Invalid arguments:volume",
    "EGeneral:Invalid arguments:price",
    "EGeneral:Invalid arguments:cl_ord_id",
    "EGeneral:Permission denied",
    "EGeneral:Unknown method",
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EAPI:Feature disabled",
    "EAPI:Bad request",
    "EQuery:Unknown asset pair",
    "EQuery:Invalid asset pair",
    "ETrade:Locked",
    "ETrade:User Locked",
    "EAuth:Account temporary disabled",
    "ESession:Invalid session",
    "EService:Deadline elapsed",
]
UNKNOWN = [
    "EService:Timeout",
    "EService:Unavailable",
    "EService:Busy",
    "EGeneral:Internal error",
    "EDatabase:Internal error",
    "EGeneral:Unknown error",
    "ENew:Word of tomorrow",
    "WGeneral:Danger",
]


def failing(exchange: CannedExchange, *texts: str, status: int = 200) -> Exception:
    """Return what the guarded ccxt raises when an order is answered so."""
    import ccxt

    from tasks.exchange.guard import Guard
    from tasks.exchange.keys import practice_keys

    exchange.answers["AddOrder"] = [refusal(*texts)._replace(status=status)]
    client = type("Safe", (Guard, ccxt.kraken), {})({"enableRateLimit": False, **practice_keys().for_ccxt()})
    client.urls["api"] = dict.fromkeys(client.urls["api"], exchange.url)
    try:
        client.create_order("BTC/USD", "market", "buy", "0.01")
    except ccxt.BaseError as error:
        return error
    finally:
        client.close()
    raise AssertionError("it was answered")


@pytest.fixture(scope="module")
def exchange():  # type: ignore[no-untyped-def]
    with canned_exchange() as served:
        yield served


@pytest.mark.parametrize(
    ("text", "kind"),
    [(text, TryLater) for text in LATER]
    + [(text, Refused) for text in NEVER]
    + [(text, OutcomeUnknown) for text in UNKNOWN],
)
def test_krakens_words_about_an_order_are_known(exchange: CannedExchange, text: str, kind: type[ExchangeError]) -> None:
    sorted_ = sort_failure(failing(exchange, text), "kraken: buy", may_change=True)
    assert type(sorted_) is kind
    assert str(sorted_) == f"kraken: buy: {text}"


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_no_proof_about_an_order_is_a_reason_to_read_again(exchange: CannedExchange, text: str) -> None:
    assert type(sort_failure(failing(exchange, text), may_change=False)) is TryLater


def test_of_several_words_the_least_certain_counts(exchange: CannedExchange) -> None:
    both = sort_failure(failing(exchange, "EOrder:Insufficient funds", "EService:Timeout"), may_change=True)
    assert type(both) is OutcomeUnknown
    both = sort_failure(failing(exchange, "EOrder:Rate limit exceeded", "EOrder:Invalid order"), may_change=True)
    assert type(both) is Refused


def test_a_refusal_inside_a_failing_gateways_answer_still_counts_as_one(exchange: CannedExchange) -> None:
    assert type(sort_failure(failing(exchange, "EOrder:Invalid order", status=500), may_change=True)) is Refused


def ccxt_error(name: str, text: str) -> Exception:
    import ccxt

    error: Exception = getattr(ccxt, name)(text)
    return error


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("RequestTimeout", "kraken POST http://x/AddOrder", OutcomeUnknown),
        ("NetworkError", "kraken POST http://x/AddOrder", OutcomeUnknown),
        ("ExchangeNotAvailable", "kraken POST http://x/AddOrder 502 Bad Gateway", OutcomeUnknown),
        ("BadResponse", "kraken answered '', which is no data", OutcomeUnknown),
        ("NullResponse", "x", OutcomeUnknown),
        ("ExchangeError", "x 524", OutcomeUnknown),
        ("CancelPending", "x", OutcomeUnknown),
        ("RateLimitExceeded", "x 429", TryLater),
        ("DDoSProtection", "x 418", TryLater),
        ("OnMaintenance", "x", TryLater),
        ("InvalidNonce", "x", TryLater),
        ("AuthenticationError", "x 401", Refused),
        ("InsufficientFunds", "x", Refused),
        ("InvalidOrder", "x", Refused),
        ("OrderNotFound", "x", Refused),
        ("NotSupported", "x", Refused),
        ("BadSymbol", "x", Refused),
        ("PermissionDenied", "bitfinex Invalid order: minimum size for BTCUSD is 0.00004", Refused),
        ("PermissionDenied", "bitfinex api_key: permission invalid", Refused),
        ("PermissionDenied", "bitfinex something broke", OutcomeUnknown),
        ("ExchangeError", "bitfinex ERROR: Invalid order: not enough exchange balance (#10001)", Refused),
        ("ExchangeError", "bitfinex ERROR: temporary failure (#10000)", OutcomeUnknown),
    ],
)
def test_only_a_proof_makes_an_orders_failure_certain(name: str, text: str, kind: type[ExchangeError]) -> None:
    assert type(sort_failure(ccxt_error(name, text), may_change=True)) is kind


def test_a_connection_that_was_never_made_sent_nothing() -> None:
    import ccxt

    from tasks.exchange.guard import Guard
    from tasks.exchange.keys import practice_keys

    client = type("Safe", (Guard, ccxt.kraken), {})({"enableRateLimit": False, **practice_keys().for_ccxt()})
    client.urls["api"] = dict.fromkeys(client.urls["api"], "http://127.0.0.1:9")
    with pytest.raises(ccxt.NetworkError) as failed:
        client.privatePostAddOrder({"pair": "XBTUSD"})
    client.close()
    assert type(sort_failure(failed.value, may_change=True)) is TryLater


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("id"), ValueError("x"), ZeroDivisionError()])
def test_an_answer_that_is_not_understood_proves_nothing(error: Exception) -> None:
    assert type(sort_failure(error, may_change=True)) is OutcomeUnknown
    assert type(sort_failure(error, may_change=False)) is TryLater


def test_our_own_errors_keep_their_kind() -> None:
    assert type(sort_failure(BadInput("no such symbol"), "kraken: buy", may_change=True)) is BadInput
    kept = sort_failure(Refused("below the least amount"), "kraken: buy", may_change=True)
    assert (type(kept), str(kept)) == (Refused, "kraken: buy: below the least amount")


def test_a_message_is_one_line_without_pages_and_queries() -> None:
    page = "kraken GET http://x/0/public/Time?signature=abc 502 Bad Gateway <html>\n<body>sorry</body></html>"
    assert said(ccxt_error("ExchangeNotAvailable", page)) == (
        "ExchangeNotAvailable: kraken GET http://x/0/public/Time 502 Bad Gateway"
    )
    assert said(ccxt_error("ExchangeError", "")) == "ExchangeError: no reason given"
    assert len(said(ccxt_error("ExchangeError", "x" * 5000))) < 250
    assert said(ccxt_error("ExchangeError", "kraken " + json.dumps({"error": ["EOrder:A", "EOrder:B"]}))) == (
        "EOrder:A, EOrder:B"
    )
