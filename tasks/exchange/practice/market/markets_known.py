"""What an exchange asks of orders in well-known markets, after Kraken's public tables; sane figures for all others."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from data.errors import BadInput
from tasks.exchange.practice.market import draws
from tasks.exchange.rules import MarketRules, Tiers

_PRICES = {
    "USD": 1.0, "USDT": 1.0, "USDC": 1.0, "EUR": 1.1, "GBP": 1.25, "CHF": 1.15, "CAD": 0.75, "AUD": 0.65, "JPY": 0.007,
    "BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "XRP": 2.0, "ADA": 0.7, "DOGE": 0.2, "LTC": 90.0, "DOT": 5.0,
    "LINK": 15.0, "AVAX": 25.0, "BCH": 450.0, "BNB": 600.0, "TRX": 0.25, "XLM": 0.3, "XMR": 250.0,
}  # fmt: skip
"""US dollars."""

_MONEY = ("USD", "USDT", "USDC", "EUR", "GBP", "CHF", "CAD", "AUD")

_BASES = {
    "BTC": ("0.1", "0.00005"),
    "ETH": ("0.01", "0.001"),
    "SOL": ("0.01", "0.02"),
    "XRP": ("0.00001", "2"),
    "ADA": ("0.000001", "6"),
    "DOGE": ("0.0000001", "20"),
    "LTC": ("0.01", "0.05"),
}
"""Tick in a money of the list above, and least amount."""


def _tiers(*steps: tuple[int, str]) -> Tiers:
    """Write fees in percent as fractions."""
    return tuple((Decimal(volume), Decimal(percent) / 100) for volume, percent in steps)


TAKER = _tiers(
    (0, "0.40"), (10_000, "0.35"), (50_000, "0.24"), (100_000, "0.22"), (250_000, "0.20"), (500_000, "0.18"),
    (1_000_000, "0.16"), (2_500_000, "0.14"), (5_000_000, "0.12"), (10_000_000, "0.10"),
)  # fmt: skip
MAKER = _tiers(
    (0, "0.25"), (10_000, "0.20"), (50_000, "0.14"), (100_000, "0.12"), (250_000, "0.10"), (500_000, "0.08"),
    (1_000_000, "0.06"), (2_500_000, "0.04"), (5_000_000, "0.02"), (10_000_000, "0.00"),
)  # fmt: skip
"""Kraken's fees of spot markets, by the volume of 30 days in US dollars."""

_KRAKENS = {"XBT": "BTC", "XDG": "DOGE"}
"""Names that its clients read as these: they would take a market of that name for the usual one."""

_SYMBOL = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})")


def known_rules(symbol: str) -> MarketRules:
    """Return the rules of a market by its symbol; BadInput unless it is written BASE/QUOTE.

    A market that is not listed has a tick that leaves its usual price five digits, and a least amount worth 5 US
    dollars at most.
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None or match[1] == match[2]:
        raise BadInput(f"'{symbol}' is no market: write base and quote currency in capitals, such as BTC/USD")
    base, quote = match[1], match[2]
    if usual := {_KRAKENS.get(each, each) for each in (base, quote)} - {base, quote}:
        raise BadInput(
            f"'{symbol}' has Kraken's own name of a currency in it: write {', '.join(sorted(usual))} instead"
        )
    tick, least = _BASES.get(base, (None, None))
    return MarketRules(
        symbol=symbol,
        base=base,
        quote=quote,
        price_step=Decimal(tick) if tick and quote in _MONEY else _power(usual_price(base) / usual_price(quote), -4),
        amount_step=Decimal("0.00000001"),
        min_amount=Decimal(least) if least else 5 * _power(1 / usual_price(base), 0),
        min_cost=Decimal("0.5") if quote in _MONEY else _power(0.5 / usual_price(quote), 0),
        taker=TAKER,
        maker=MAKER,
    )


def usual_price(currency: str) -> float:
    """Return about what a currency costs in US dollars; 1 to 100, always the same, where it is not known."""
    drawn = draws.uniform(draws.key_of("usual price", currency).reshape(1), 0, 1)
    return _PRICES.get(currency) or float(round(10.0 ** (2 * drawn[0, 0]), 2))


def _power(value: float, places: int) -> Decimal:
    """Return the power of ten at the value's first digit, moved by so many places."""
    return Decimal(f"{Decimal(1).scaleb(math.floor(math.log10(value)) + places):f}")
