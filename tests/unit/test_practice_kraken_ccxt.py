"""The real, unmodified ccxt, sync and async, against the practice exchange's Kraken wire: what ccxt makes of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tasks.exchange.practice.keys import secret_of
from tests.unit.practice_wires import KEY, MINUTE, NOW, SECOND, PracticeKraken, served

MS = NOW // 1_000_000
HOUR_MS = 3_600_000


class Client(NamedTuple):
    """A client of ccxt, sync or async, and the exchange that it talks to."""

    call: Callable[..., Any]
    ccxt: Any
    practice: PracticeKraken

    def raises(self, error: str, text: str, *args: Any, **options: Any) -> None:
        """See that a call raises exactly this class of ccxt's."""
        with pytest.raises(Exception) as caught:  # noqa: PT011  the class is compared by name
            self.call(*args, **options)
        assert type(caught.value).__name__ == error
        assert text in str(caught.value)

    def order(self, kind: str, side: str, amount: Any, price: Any = None, **params: Any) -> Any:
        return self.call("create_order", "BTC/USD", kind, side, amount, price, params)

    def below(self, dollars: int) -> float:
        """A price so far below the last one."""
        return float(self.practice.last - dollars)


@pytest.fixture(scope="module", params=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Iterator[tuple[Callable[..., Any], Any]]:
    """Make one client of ccxt for all tests, and what calls it."""
    import ccxt
    import ccxt.async_support

    settings = {"enableRateLimit": False, "timeout": 10_000}
    if request.param == "sync":
        made = ccxt.kraken(settings)
        yield lambda name, *args, **options: getattr(made, name)(*args, **options), made
        made.close()
        return
    made = ccxt.async_support.kraken(settings)
    with asyncio.Runner() as runner:

        def call(name: str, *args: Any, **options: Any) -> Any:
            return runner.run(getattr(made, name)(*args, **options))

        yield call, made
        runner.run(made.close())


@pytest.fixture
def client(caller: tuple[Callable[..., Any], Any]) -> Iterator[Client]:
    call, made = caller
    with served(PracticeKraken()) as practice:
        made.urls["api"] = dict.fromkeys(("public", "private", "zendesk"), practice.url)
        made.apiKey, made.secret = KEY, secret_of(KEY)
        yield Client(call, made, practice)


# Public


def test_markets_are_read_with_their_steps_minimums_and_fees(client: Client) -> None:
    markets = client.call("load_markets", True)
    assert set(markets) == {"BTC/USD", "ETH/USD", "DOGE/USD", "SOL/EUR"}
    assert {symbol: market["id"] for symbol, market in markets.items()} == {
        "BTC/USD": "XXBTZUSD",
        "ETH/USD": "XETHZUSD",
        "DOGE/USD": "XDGUSD",
        "SOL/EUR": "SOLEUR",
    }
    bitcoin = markets["BTC/USD"]
    assert bitcoin["active"]
    assert (bitcoin["precision"]["price"], bitcoin["precision"]["amount"]) == (0.1, 1e-8)
    assert (bitcoin["limits"]["amount"]["min"], bitcoin["limits"]["cost"]["min"]) == (0.00005, 0.5)
    assert (bitcoin["taker"], bitcoin["maker"]) == (0.004, 0.0025)


def test_currencies_are_read_by_their_usual_codes(client: Client) -> None:
    currencies = client.call("fetch_currencies")
    assert {code: currency["id"] for code, currency in currencies.items()} == {
        "BTC": "XXBT",
        "ETH": "XETH",
        "DOGE": "XXDG",
        "SOL": "SOL",
        "USD": "ZUSD",
        "EUR": "ZEUR",
    }
    assert all(currency["active"] for currency in currencies.values())


def test_time_and_status_are_the_exchanges(client: Client) -> None:
    assert client.call("fetch_time") == MS
    assert client.call("fetch_status")["status"] == "ok"
    client.practice.clock.skew = 7 * SECOND
    client.practice.exchange.status = "maintenance"
    assert client.call("fetch_time") == MS + 7000
    assert client.call("fetch_status")["status"] == "maintenance"


def test_the_ticker_is_that_of_the_market(client: Client) -> None:
    ticker = client.call("fetch_ticker", "BTC/USD")
    day = client.practice.minutes(1440)
    assert ticker["last"] == float(client.practice.last)
    assert ticker["high"] == float(max(candle.high for candle in day))
    assert ticker["low"] == float(min(candle.low for candle in day))
    assert ticker["baseVolume"] == float(sum(candle.volume for candle in day))
    assert ticker["open"] == float(client.practice.market.candles(1440, NOW, 1)[0].open)
    book = client.call("fetch_order_book", "BTC/USD")
    assert (ticker["bid"], ticker["ask"]) == (book["bids"][0][0], book["asks"][0][0])
    assert ticker["timestamp"] is None


def test_all_tickers_are_answered_at_once(client: Client) -> None:
    assert set(client.call("fetch_tickers")) == {"BTC/USD", "ETH/USD", "DOGE/USD", "SOL/EUR"}


def test_the_order_book_has_the_asked_depth_and_is_sorted(client: Client) -> None:
    book = client.call("fetch_order_book", "BTC/USD", 5)
    bids, asks = ([level[0] for level in book[side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == 5
    assert sorted(bids, reverse=True) == bids
    assert sorted(asks) == asks
    assert bids[0] < client.practice.last < asks[0]


def test_candles_are_721_with_the_open_one_last(client: Client) -> None:
    candles = client.call("fetch_ohlcv", "BTC/USD", "1h")
    expected = client.practice.market.candles(60, NOW, 721)
    assert len(candles) == 721
    assert candles[-1][0] <= MS < candles[-1][0] + HOUR_MS
    assert candles == [
        [c.ts // 1_000_000, *(float(value) for value in (c.open, c.high, c.low, c.close, c.volume))] for c in expected
    ]


def test_candles_since_a_time_begin_with_the_one_that_opens_then(client: Client) -> None:
    opened = MS // HOUR_MS * HOUR_MS
    candles = client.call("fetch_ohlcv", "BTC/USD", "1h", opened - 5 * HOUR_MS)
    assert [candle[0] for candle in candles] == [opened - n * HOUR_MS for n in (5, 4, 3, 2, 1, 0)]


def test_candles_older_than_the_window_are_silently_not_what_was_asked(client: Client) -> None:
    opened = MS // HOUR_MS * HOUR_MS
    candles = client.call("fetch_ohlcv", "BTC/USD", "1h", opened - 3000 * HOUR_MS, 3)
    assert [candle[0] for candle in candles] == [opened - n * HOUR_MS for n in (720, 719, 718)]


def test_the_last_candles_without_a_since_include_the_open_one(client: Client) -> None:
    candles = client.call("fetch_ohlcv", "BTC/USD", "1h", None, 5)
    assert [candle[0] for candle in candles][-1] == MS // HOUR_MS * HOUR_MS
    assert len(candles) == 5


def test_candles_since_later_than_now_are_none(client: Client) -> None:
    assert client.call("fetch_ohlcv", "BTC/USD", "1h", MS + 10 * HOUR_MS) == []


def test_trades_are_the_markets_prints(client: Client) -> None:
    trades = client.call("fetch_trades", "BTC/USD", None, 5)
    prints = list(client.practice.market.ticks(NOW - 10 * MINUTE, NOW))[-5:]
    assert [(trade["price"], trade["amount"], trade["side"]) for trade in trades] == [
        (float(tick.price), float(tick.amount), tick.side) for tick in prints
    ]
    assert [trade["timestamp"] for trade in trades] == [tick.time // 1_000_000 for tick in prints]
    assert all(trade["type"] == "market" for trade in trades)


def test_all_trades_are_had_by_the_last_of_each_page(client: Client) -> None:
    begin = NOW - 3 * 60 * MINUTE
    since, got = str(begin), []
    while trades := client.call("fetch_trades", "BTC/USD", None, None, {"since": since}):
        got += [trade["id"] for trade in trades]
        assert len(trades) <= 1000
        since = trades[-1]["info"][-1]
    assert got == [str(tick.time // 1000) for tick in client.practice.market.ticks(begin, NOW)]
    assert len(got) > 1000


# Money


def test_the_balance_tells_what_is_held_by_open_orders(client: Client) -> None:
    client.order("limit", "sell", 0.5, client.below(-1000))
    balance = client.call("fetch_balance")
    assert (balance["BTC"]["total"], balance["BTC"]["used"], balance["BTC"]["free"]) == (2.0, 0.5, 1.5)
    assert balance["USD"]["free"] == 100_000.0


def test_the_trading_fee_is_the_accounts_and_falls_with_its_volume(client: Client) -> None:
    assert client.call("fetch_trading_fee", "BTC/USD")["taker"] == 0.004
    for _ in range(3):
        client.order("market", "sell", 0.3)
    assert client.practice.engine.volume() > 10_000
    fee = client.call("fetch_trading_fee", "BTC/USD")
    assert (fee["taker"], fee["maker"]) == (0.0035, 0.002)


# Orders


def test_a_market_order_fills_at_once_and_is_found_with_its_trades(client: Client) -> None:
    placed = client.order("market", "buy", 0.01)
    assert (placed["status"], placed["filled"], placed["side"], placed["type"]) == (None, None, "buy", "market")
    assert placed["amount"] == 0.01
    order = client.call("fetch_order", placed["id"])
    kept = client.practice.engine.orders[placed["id"]]
    assert (order["status"], order["symbol"], order["side"], order["type"]) == ("closed", "BTC/USD", "buy", "market")
    assert (order["amount"], order["filled"], order["remaining"]) == (0.01, 0.01, 0.0)
    assert order["cost"] == pytest.approx(float(kept.cost), rel=1e-9)
    assert order["average"] == pytest.approx(float(kept.cost / kept.filled), rel=1e-9)
    assert order["fee"]["currency"] == "USD"
    assert Decimal(order["fee"]["cost"]) == kept.fee == kept.cost * Decimal("0.004")
    trades = client.call("fetch_order_trades", placed["id"], "BTC/USD", None, None, {"trades": order["trades"]})
    assert sum(Decimal(trade["info"]["vol"]) for trade in trades) == Decimal("0.01")
    assert {trade["order"] for trade in trades} == {placed["id"]}
    assert {trade["takerOrMaker"] for trade in trades} == {"taker"}


def test_a_limit_order_rests_fills_as_maker_and_moves_from_open_to_closed(client: Client) -> None:
    client_id = str(uuid.uuid4())
    price = client.below(100)
    placed = client.order("limit", "buy", 0.02, price, clientOrderId=client_id)
    assert (placed["price"], placed["amount"], placed["type"], placed["clientOrderId"]) == (price, 0.02, "limit", None)
    (order,) = client.call("fetch_open_orders", "BTC/USD")
    assert (order["id"], order["status"], order["price"], order["amount"]) == (placed["id"], "open", price, 0.02)
    assert (order["clientOrderId"], order["filled"], order["timestamp"]) == (client_id, 0.0, MS)
    assert client.call("fetch_closed_orders") == []
    client.practice.wait(1)
    client.practice.prints(client.practice.market.rules.round_price(Decimal(price) - 1, "buy"))
    assert client.call("fetch_open_orders") == []
    (order,) = client.call("fetch_closed_orders", "BTC/USD")
    assert (order["id"], order["status"], order["average"], order["filled"]) == (placed["id"], "closed", price, 0.02)
    (trade,) = client.call("fetch_my_trades", "BTC/USD")
    assert (trade["order"], trade["takerOrMaker"], trade["price"]) == (placed["id"], "maker", price)
    assert trade["fee"] == {"cost": pytest.approx(price * 0.02 * 0.0025), "currency": "USD"} | (
        {"rate": None} if "rate" in trade["fee"] else {}
    )


def test_an_order_is_found_by_its_client_id_open_and_closed(client: Client) -> None:
    mine = str(uuid.uuid4())
    client.order("limit", "buy", 0.01, client.below(200), clientOrderId="someone else")
    placed = client.order("limit", "buy", 0.01, client.below(100), clientOrderId=mine)
    found = client.call("fetch_open_orders", None, None, None, {"clientOrderId": mine})
    assert [order["id"] for order in found] == [placed["id"]]
    assert client.call("fetch_closed_orders", None, None, None, {"clientOrderId": mine}) == []
    client.call("cancel_order", placed["id"])
    assert client.call("fetch_open_orders", None, None, None, {"clientOrderId": mine}) == []
    found = client.call("fetch_closed_orders", None, None, None, {"clientOrderId": mine})
    assert [(order["id"], order["status"]) for order in found] == [(placed["id"], "canceled")]


def test_the_same_client_id_buys_twice_once_the_first_order_is_filled(client: Client) -> None:
    mine = uuid.uuid4().hex
    ids = {client.order("market", "buy", 0.01, clientOrderId=mine)["id"] for _ in range(2)}
    assert len(ids) == 2
    client.order("limit", "buy", 0.01, client.below(100), clientOrderId=mine)
    client.raises(
        "ExchangeError", "EGeneral:Invalid arguments:cl_ord_id", "create_order", "BTC/USD", "limit", "buy", 0.01,
        client.below(200), {"clientOrderId": mine},
    )  # fmt: skip


def test_orders_are_cancelled_by_id_by_client_id_by_userref_and_all_at_once(client: Client) -> None:
    one = client.order("limit", "buy", 0.001, client.below(100))["id"]
    client.order("limit", "buy", 0.001, client.below(101), clientOrderId="by-name")
    client.order("limit", "buy", 0.001, client.below(102), userref=-7)
    client.order("limit", "buy", 0.001, client.below(103), userref=-7)
    client.order("limit", "buy", 0.001, client.below(104))
    client.order("limit", "buy", 0.001, client.below(105))
    assert client.call("cancel_order", one)["info"]["result"] == {"count": 1}
    assert client.call("cancel_order", "", None, {"clientOrderId": "by-name"})["info"]["result"] == {"count": 1}
    assert len(client.call("fetch_open_orders", None, None, None, {"userref": -7})) == 2
    assert client.call("cancel_order", "", None, {"userref": -7})["info"]["result"] == {"count": 2}
    assert client.call("cancel_all_orders")[0]["info"]["result"] == {"count": 2}
    assert client.call("fetch_order", one)["status"] == "canceled"
    assert client.call("fetch_order", one)["info"]["reason"] == "User requested"
    assert client.call("fetch_open_orders") == []


def test_an_order_that_is_not_open_cannot_be_cancelled_or_found(client: Client) -> None:
    filled = client.order("market", "buy", 0.01)["id"]
    client.raises("OrderNotFound", "EOrder:Unknown order", "cancel_order", filled)
    client.raises("OrderNotFound", "EOrder:Unknown order", "cancel_order", "OAAAAA-BBBBB-CCCCCC")
    client.raises("InvalidOrder", "EOrder:Unknown order", "fetch_order", "OAAAAA-BBBBB-CCCCCC")


def test_the_dead_mans_switch_cancels_what_is_open_when_its_time_has_come(client: Client) -> None:
    placed = client.order("limit", "buy", 0.001, client.below(5000))["id"]
    answer = client.call("cancel_all_orders_after", 60_000)["result"]
    assert answer == {"currentTime": "2026-01-15T12:30:15Z", "triggerTime": "2026-01-15T12:31:15Z"}
    client.practice.wait(59)
    assert client.call("fetch_order", placed)["status"] == "open"
    client.practice.wait(1)
    assert client.call("fetch_order", placed)["status"] == "canceled"
    assert client.call("cancel_all_orders_after", 0)["result"]["triggerTime"] == "0"


def test_an_amount_of_money_can_be_spent(client: Client) -> None:
    placed = client.call("create_market_buy_order_with_cost", "BTC/USD", 25)
    assert (placed["cost"], placed["side"]) == (25.0, "buy")
    order = client.call("fetch_order", placed["id"])
    assert order["status"] in ("closed", "canceled")
    assert order["cost"] == pytest.approx(25, abs=0.001)
    assert order["remaining"] == 0
    assert order["info"]["oflags"] == "fciq,viqc"


def test_validate_places_nothing_and_gives_no_id(client: Client) -> None:
    assert client.order("limit", "buy", 0.01, client.below(100), validate="true")["id"] is None
    assert client.order("limit", "buy", 0.01, client.below(100), validate=True)["id"] is None
    assert client.call("fetch_open_orders") == []
    assert client.order("limit", "buy", 0.01, client.below(100), validate="false")["id"] is not None


def test_a_deadline_lets_in_what_comes_in_time(client: Client) -> None:
    now = datetime.fromtimestamp(NOW // SECOND, UTC)
    in_time, late, far = ((now + timedelta(seconds=s)).isoformat() for s in (30, -1, 120))
    assert client.order("limit", "buy", 0.01, client.below(100), deadline=in_time)["id"]
    args = ("create_order", "BTC/USD", "limit", "buy", 0.01, client.below(100))
    client.raises("ExchangeError", "EService:Deadline elapsed", *args, {"deadline": late})
    client.raises("ExchangeError", "EGeneral:Invalid arguments:deadline", *args, {"deadline": far})


def test_a_post_only_order_rests_or_is_refused(client: Client) -> None:
    placed = client.order("limit", "buy", 0.01, client.below(100), postOnly=True)
    order = client.call("fetch_order", placed["id"])
    assert (order["status"], order["postOnly"]) == ("open", True)
    client.raises(
        "ExchangeError", "EOrder:Post only order", "create_order", "BTC/USD", "limit", "buy", 0.01, client.below(-100),
        {"postOnly": True},
    )  # fmt: skip


def test_an_immediate_order_does_not_rest(client: Client) -> None:
    order = client.order("limit", "buy", 0.01, client.below(100), timeInForce="IOC")
    assert client.call("fetch_order", order["id"])["status"] == "canceled"


def test_an_order_good_till_a_time_expires_then(client: Client) -> None:
    placed = client.order("limit", "buy", 0.001, client.below(9000), timeInForce="GTD", expiretm="+30")["id"]
    client.practice.wait(29)
    assert client.call("fetch_order", placed)["status"] == "open"
    client.practice.wait(1)
    assert client.call("fetch_order", placed)["status"] == "expired"


@pytest.mark.parametrize("kind", ["market", "limit"])
@pytest.mark.parametrize(("trigger", "dashed"), [("stopLossPrice", "stop-loss"), ("takeProfitPrice", "take-profit")])
def test_an_order_that_waits_for_a_price_is_read_back_as_it_was_sent(
    client: Client, kind: str, trigger: str, dashed: str
) -> None:
    at = client.below(500 if dashed == "stop-loss" else -500)
    limit = at - 10 if kind == "limit" else None
    placed = client.order(kind, "sell", 0.01, limit, **{trigger: at})
    assert (placed[trigger], placed["type"], placed["price"]) == (at, kind, limit)
    (order,) = client.call("fetch_open_orders")
    assert (order[trigger], order["price"], order["side"]) == (at, limit, "sell")
    assert order["info"]["descr"]["ordertype"] == dashed + ("-limit" if kind == "limit" else "")
    client.practice.prints(Decimal(str(at)))
    filled = client.call("fetch_order", placed["id"])
    assert (filled["status"], filled["filled"]) == ("closed", 0.01)


def test_a_partial_fill_by_fault_leaves_a_cancelled_order(client: Client) -> None:
    client.practice.exchange.fill_limit = Decimal("0.25")
    order = client.call("fetch_order", client.order("market", "buy", 0.04)["id"])
    assert (order["status"], order["filled"], order["remaining"]) == ("canceled", 0.01, 0.03)
    assert order["info"]["reason"] == "cancelled by the exchange"
    assert client.call("fetch_order", client.order("market", "buy", 0.04)["id"])["status"] == "closed"


def test_pages_of_closed_orders_and_trades_hold_fifty_the_newest_first(client: Client) -> None:
    ids = []
    for _ in range(53):
        client.practice.wait(1)
        ids.append(client.practice.private(
            "AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.0001")["result"]["txid"][0]
        )  # fmt: skip
    client.practice.nonce = 0
    pages = [client.call("fetch_closed_orders", None, None, None, {"ofs": ofs}) for ofs in (0, 50, 100)]
    assert [len(page) for page in pages] == [50, 3, 0]
    assert {order["id"] for order in pages[1]} == set(ids[:3])
    trades = [client.call("fetch_my_trades", None, None, None, {"ofs": ofs}) for ofs in (0, 50)]
    assert {trade["order"] for trade in trades[0]} <= set(ids[3:])
    assert len(trades[0]) == 50


def test_what_is_looked_up_since_a_time_is_younger(client: Client) -> None:
    client.order("market", "buy", 0.01)
    client.practice.wait(10)
    second = client.order("market", "buy", 0.02)["id"]
    found = client.call("fetch_closed_orders", "BTC/USD", MS + 5000)
    assert [order["id"] for order in found] == [second]
    assert {trade["order"] for trade in client.call("fetch_my_trades", "BTC/USD", MS + 5000)} == {second}


# Refusals, in Kraken's words and ccxt's classes


def test_refused_orders_raise_the_classes_that_ccxt_has_for_them(client: Client) -> None:
    client.call("load_markets")
    low = client.below(1000)
    cases = [
        ("InvalidOrder", "EOrder:Order minimum not met", ("market", "buy", 0.00001, None)),
        ("InsufficientFunds", "EOrder:Insufficient funds", ("limit", "buy", 5, low)),
        ("InsufficientFunds", "EOrder:Insufficient funds", ("market", "sell", 2.5, None)),
        ("ExchangeError", "EOrder:Cost minimum not met", ("limit", "buy", 0.0001, 100)),
        ("ExchangeError", "arguments:cl_ord_id", ("limit", "buy", 0.01, low, {"clientOrderId": "x" * 19})),
        ("ExchangeError", "arguments:cl_ord_id", ("limit", "buy", 0.01, low, {"clientOrderId": "x", "userref": 3})),
        ("ExchangeError", "arguments:timeinforce", ("limit", "buy", 0.01, low, {"timeInForce": "PO"})),
        ("ExchangeError", "arguments:leverage", ("limit", "buy", 0.01, low, {"leverage": 2})),
    ]  # fmt: skip
    for error, text, args in cases:
        client.raises(error, text, "create_order", "BTC/USD", *args)
    raw = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "100.0"}
    client.raises("InvalidOrder", "EGeneral:Invalid arguments:volume", "private_post_addorder", raw | {"volume": "-1"})
    client.raises("InvalidOrder", "EGeneral:Invalid arguments:price", "private_post_addorder", raw | {"price": "+5"})
    client.raises("ExchangeError", "EQuery:Unknown asset pair", "public_get_ticker", {"pair": "NOSUCH"})
    client.raises("ExchangeError", "EGeneral:Unknown method", "private_post_addorderbatch", {"orders": []})
    assert client.call("fetch_open_orders") == []


def test_keys_signatures_nonces_and_permissions_raise_the_classes_of_ccxt(client: Client) -> None:
    client.call("fetch_balance")
    secret = client.ccxt.secret
    client.ccxt.secret = secret_of("PRACTICE-another")
    client.raises("ExchangeError", "EAPI:Invalid signature", "fetch_balance")
    client.ccxt.secret, client.ccxt.apiKey = secret, "a key of the real Kraken"
    client.raises("AuthenticationError", "EAPI:Invalid key", "fetch_balance")
    client.ccxt.apiKey = KEY
    client.practice.keys.permit(KEY, {"query"})
    client.call("fetch_balance")
    client.raises(
        "PermissionDenied", "EGeneral:Permission denied", "create_order", "BTC/USD", "market", "buy", 0.01, None
    )
    client.raises("PermissionDenied", "EGeneral:Permission denied", "cancel_all_orders")
    client.practice.keys.take_nonce(KEY, 2**62, wire="kraken")
    client.raises("InvalidNonce", "EAPI:Invalid nonce", "fetch_balance")


def test_the_states_of_the_exchange_are_obeyed_and_told(client: Client) -> None:
    exchange = client.practice.exchange
    limit = ("create_order", "BTC/USD", "limit", "buy", 0.001, client.below(100))
    placed = client.call(*limit)["id"]
    exchange.status = "cancel_only"
    client.raises("OnMaintenance", "EService:Market in cancel_only mode", *limit)
    assert not client.call("load_markets", True)["BTC/USD"]["active"]
    client.call("cancel_order", placed)
    exchange.status = "post_only"
    client.raises("OnMaintenance", "EService:Market in post_only mode", *limit)
    assert client.call(*limit, {"postOnly": True})["id"]
    exchange.status = "limit_only"
    client.raises(
        "ExchangeError", "EService:Market in limit_only mode", "create_order", "BTC/USD", "market", "buy", 0.01, None
    )
    assert client.call(*limit)["id"]
    exchange.status = "maintenance"
    for call in (("fetch_balance",), ("fetch_ticker", "BTC/USD"), limit, ("cancel_all_orders",)):
        client.raises("ExchangeNotAvailable", "EService:Unavailable", *call)
