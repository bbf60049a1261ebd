"""Names, keys, counters and day figures of the practice exchange's Kraken side, each on its own."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.exchange.matching.refusals import Refusal
from tasks.exchange.orders import OrderRequest
from tasks.exchange.practice.keys import PREFIX, KeyRing, secret_of
from tasks.exchange.practice.kraken.limits import TIERS, Counter, Limits
from tasks.exchange.practice.kraken.names import Names, asset, decimals_of, pair, plain
from tasks.exchange.practice.kraken.wire import signature
from tasks.exchange.practice.kraken.words import rfc3339, seconds, sentence, words_of
from tasks.exchange.practice.market.markets_known import known_rules
from tests.unit.practice_wires import MINUTE, NOW, SECOND, PracticeKraken


@pytest.mark.parametrize(
    ("symbol", "id_", "altname", "wsname"),
    [
        ("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD"),
        ("BTC/EUR", "XXBTZEUR", "XBTEUR", "XBT/EUR"),
        ("BTC/USDT", "XBTUSDT", "XBTUSDT", "XBT/USDT"),
        ("ETH/BTC", "XETHXXBT", "ETHXBT", "ETH/XBT"),
        ("XRP/USD", "XXRPZUSD", "XRPUSD", "XRP/USD"),
        ("DOGE/USD", "XDGUSD", "XDGUSD", "XDG/USD"),
        ("DOGE/BTC", "XXDGXXBT", "XDGXBT", "XDG/XBT"),
        ("BTC/AUD", "XBTAUD", "XBTAUD", "XBT/AUD"),
        ("SOL/USD", "SOLUSD", "SOLUSD", "SOL/USD"),
        ("BTC/CHF", "XBTCHF", "XBTCHF", "XBT/CHF"),
    ],
)
def test_markets_have_krakens_names_and_are_found_by_each(symbol: str, id_: str, altname: str, wsname: str) -> None:
    names = Names([known_rules(symbol)])
    found = names.pairs[symbol]
    assert (found.id, found.altname, found.wsname) == (id_, altname, wsname)
    assert all(names.find(name) is found for name in (id_, altname, wsname, symbol))
    assert names.find("XXBT") is None


def test_currencies_have_krakens_names() -> None:
    names = {code: asset(code).id for code in ("BTC", "ETH", "XRP", "DOGE", "SOL", "USDT", "USD", "EUR", "CHF")}
    assert names == {
        "BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "SOL": "SOL", "USDT": "USDT", "USD": "ZUSD",
        "EUR": "ZEUR", "CHF": "CHF",
    }  # fmt: skip


@given(st.decimals(min_value=0, max_value=10**12, places=12), st.integers(0, 15))
def test_a_number_is_written_without_exponent_and_loses_nothing(value: Decimal, least: int) -> None:
    text = plain(value, least)
    assert Decimal(text) == value
    assert "E" not in text
    decimals = len(text.partition(".")[2])
    assert decimals == max(least, decimals_of(value))


def test_the_signature_is_that_of_krakens_documentation() -> None:
    """The example of https://docs.kraken.com/api/docs/guides/spot-rest-auth."""
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    assert signature(secret, "/0/private/AddOrder", "1616492376594", body) == (
        b"4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


def test_secrets_follow_from_public_keys_and_differ() -> None:
    assert secret_of(f"{PREFIX}a") == secret_of(f"{PREFIX}a") != secret_of(f"{PREFIX}b")
    assert len(secret_of(f"{PREFIX}a")) == 88


def test_nonces_rise_for_each_key_on_each_wire() -> None:
    ring = KeyRing()
    assert ring.take_nonce("PRACTICE-a", 0, wire="kraken")
    assert ring.take_nonce("PRACTICE-a", 5, wire="kraken")
    assert not ring.take_nonce("PRACTICE-a", 5, wire="kraken")
    assert ring.take_nonce("PRACTICE-a", 1, wire="bitfinex")
    assert ring.take_nonce("PRACTICE-b", 1, wire="kraken")


def test_a_key_ring_is_the_same_after_a_restart() -> None:
    ring, again = KeyRing(), KeyRing()
    ring.permit("PRACTICE-a", {"query", "cancel"})
    ring.take_nonce("PRACTICE-a", 9, wire="kraken")
    again.restore(ring.snapshot())
    assert again.permissions("PRACTICE-a") == {"query", "cancel"}
    assert again.permissions("PRACTICE-b") == {"query", "trade", "cancel"}
    assert not again.take_nonce("PRACTICE-a", 9, wire="kraken")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10))), st.sampled_from([0.33, 0.5, 1.0, 3.75]))
def test_a_counter_never_falls_below_nothing_and_only_use_raises_it(uses: list[tuple[int, int]], decay: float) -> None:
    counter, now, used = Counter(decay), NOW, 0
    for waited, points in uses:
        before = counter.count(now)
        now += waited * SECOND
        assert 0 <= counter.count(now) <= before
        counter.add(points, now)
        used += points
        assert counter.count(now) <= used


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_the_counters_are_krakens(tier: str) -> None:
    known = {"starter": (15, 60), "intermediate": (20, 125), "pro": (20, 180)}
    limits = Limits(tier)  # type: ignore[arg-type]
    requests, orders = known[tier]
    assert [limits.ask("k", 1, NOW) for _ in range(requests + 1)] == [True] * requests + [False]
    assert [limits.order("BTC/USD", NOW) for _ in range(orders + 1)] == [True] * orders + [False]


@pytest.mark.parametrize(
    ("lived", "points"), [(4.9, 8), (5, 6), (9, 6), (14, 5), (44, 4), (89, 2), (299, 1), (300, 0), (10**6, 0)]
)
def test_an_order_costs_the_more_the_sooner_it_is_cancelled(lived: float, points: int) -> None:
    limits = Limits("starter")
    limits.cancel("BTC/USD", int(lived * SECOND), NOW)
    placed = 0
    while limits.order("BTC/USD", NOW):
        placed += 1
    assert placed == 60 - points


def test_every_refusal_of_the_engine_has_words_of_krakens() -> None:
    assert all(words_of(refusal).startswith("E") for refusal in Refusal)


def test_sentences_are_those_that_clients_read() -> None:
    ether = pair(known_rules("ETH/USD"))
    limit = OrderRequest("ETH/USD", "buy", "limit", Decimal("0.021"), Decimal("330.5"))
    assert sentence(ether, limit, "0.02100000") == "buy 0.02100000 ETHUSD @ limit 330.50"
    market = OrderRequest("ETH/USD", "sell", "market", Decimal(1))
    assert sentence(ether, market, "1.00000000") == "sell 1.00000000 ETHUSD @ market"


@given(st.integers(0, 2**62))
def test_times_are_written_to_the_microsecond(ns: int) -> None:
    assert abs(seconds(ns) * 10**6 - ns // 1000) <= 1
    assert rfc3339(ns, places=9)[19:] == f".{ns % SECOND:09d}Z"


@pytest.mark.parametrize("count", [1, 50, 1000])
def test_the_latest_prints_are_the_last_ones(count: int) -> None:
    market = PracticeKraken().market
    ticks = market.latest(NOW, count)
    assert len(ticks) == count
    assert ticks == list(market.ticks(NOW - 300 * MINUTE, NOW))[-count:]
    assert all(a.time < b.time for a, b in pairwise(ticks))
