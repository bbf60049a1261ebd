"""Prices and the exchange's clock by a public client: without keys, without an account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data.errors import BadInput, TryLater
from tasks.exchange import trading_client
from tasks.exchange.prices import PublicPrices, public_prices
from tests.servers.canned_exchange import Answer, canned_exchange, result
from tests.servers.practice_exchange import NOW, Practice

SYMBOL = "BTC/USD"
SECOND = 1_000_000_000

Open = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the prices of an exchange on loopback."""

    @contextmanager
    def opened(server: Any, name: str = "practice") -> Iterator[PublicPrices]:
        monkeypatch.setenv("JARVIS_EXCHANGE_URLS", json.dumps({name: server.url}))
        with public_prices(name, timeout=5) as prices:
            yield prices

    return opened


def test_prices_are_those_that_the_account_is_shown(practice: Practice, at: Open, name: str) -> None:
    with at(practice, name) as prices, trading_client(name, timeout=5) as trader:
        shown, told = prices.price(SYMBOL), trader.price(SYMBOL)
    assert (shown.last, shown.bid, shown.ask, shown.traded) == (told.last, told.bid, told.ask, told.traded)
    assert shown.bid <= shown.last <= shown.ask
    assert shown.traded <= shown.arrived


def test_the_time_is_the_exchanges(practice: Practice, at: Open, name: str) -> None:
    with at(practice, name) as prices:
        before = prices.now()
        practice.step(60)
        assert NOW - 3600 * SECOND < before <= practice.exchange.clock.now()
        assert prices.now() - before == pytest.approx(60 * SECOND, abs=30 * SECOND)


def test_no_key_is_used(practice: Practice, at: Open, name: str) -> None:
    with at(practice, name) as prices:
        prices.price(SYMBOL)
    asked = [entry["path"] for entry in practice.journal()]
    assert asked
    assert not [path for path in asked if "/private/" in path or "/auth/" in path]


@pytest.mark.parametrize("symbol", ["BTC/USDD", ""])
def test_a_misspelt_symbol_is_answered_at_once(practice: Practice, at: Open, symbol: str) -> None:
    with at(practice) as prices, pytest.raises(BadInput, match=r"^unknown symbol"):
        prices.price(symbol)


def test_an_unknown_exchange_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean practice"), public_prices("practise"):
        pass


def test_an_exchange_that_cannot_be_reached_is_tried_again_later(at: Open) -> None:
    class Nobody:
        url = "http://127.0.0.1:9"

    with pytest.raises(TryLater, match=r"^practice: the markets: .*\(tried \d times\)$"), at(Nobody()):
        pass


def test_a_price_that_cannot_be_had_is_tried_again_later(practice: Practice, at: Open, name: str) -> None:
    with at(practice, name) as prices:
        practice.fault("http", status=502, times=2)
        assert prices.price(SYMBOL).last > 0
        practice.fault("http", status=502)
        with pytest.raises(TryLater, match=rf"^{name}: the price of BTC/USD: .*502.* \(tried 3 times\)$"):
            prices.price(SYMBOL)


TICKER: dict[str, Any] = {"a": ["101", "1", "1"], "b": ["99", "1", "1"], "c": ["100", "1"], "o": "1"}
TICKER |= {name: ["1", "1"] for name in ("v", "p", "l", "h", "t")}


def trades(price: str) -> Answer:
    return result({"XXBTZUSD": [[price, "1", 1768480200.5, "b", "m", "", 1]], "last": "1"})


def test_a_ticker_that_the_latest_trades_know_nothing_of_is_old(at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers |= {"Ticker": [result({"XXBTZUSD": TICKER})], "Time": [result({"unixtime": 1768480201})]}
        exchange.answers["Trades"] = [trades("99.5")]
        with at(exchange) as prices:
            with pytest.raises(TryLater, match="none of the latest trades is at the ticker's price, 100: it is old"):
                prices.price(SYMBOL)
            exchange.answers["Trades"] = [trades("100.0")]
            assert prices.price(SYMBOL).traded == 1_768_480_200_500_000_000


def test_where_no_trades_are_shown_a_price_is_as_old_as_its_answer(at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers |= {"Ticker": [result({"XXBTZUSD": TICKER})], "Time": [result({"unixtime": 1768480201})]}
        with at(exchange) as prices:
            prices._client.has["fetchTrades"] = False
            shown = prices.price(SYMBOL)
        assert shown.traded == shown.arrived
        assert exchange.count("Trades") == 0


def test_an_answer_that_is_not_understood_is_no_price(at: Open) -> None:
    with canned_exchange() as exchange:
        exchange.answers["Ticker"] = [result({"XXBTZUSD": {**TICKER, "b": []}})]
        exchange.answers["Trades"] = [trades("100.0")]
        with at(exchange) as prices, pytest.raises(TryLater, match=r"^practice: the price of BTC/USD: "):
            prices.price(SYMBOL)
