"""How Kraken calls currencies and markets: XXBTZUSD here, XBTUSD there, XBT/USD elsewhere, BTC/USD in streams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from tasks.exchange.rules import MarketRules

_ALTNAMES = {"BTC": "XBT", "DOGE": "XDG"}
_CRYPTO_WITH_X = frozenset({"XBT", "ETH", "XRP", "LTC", "XLM", "XMR", "ZEC", "ETC", "REP", "MLN", "XDG"})
_MONEY_WITH_Z = frozenset({"USD", "EUR", "GBP", "CAD", "JPY", "AUD"})
_MONEY = _MONEY_WITH_Z | {"CHF", "AED"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A currency in Kraken's words."""

    id: str
    """XXBT, ZUSD, SOL."""
    altname: str
    """XBT, USD, SOL."""
    decimals: int
    display_decimals: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A market in Kraken's words."""

    symbol: str
    """BTC/USD: ours, and that of Kraken's streams (version 2)."""
    id: str
    """XXBTZUSD: in market data and in the history of trades."""
    altname: str
    """XBTUSD: in orders."""
    wsname: str
    """XBT/USD."""
    base: Asset
    quote: Asset
    rules: MarketRules
    price_decimals: int
    lot_decimals: int


def asset(currency: str) -> Asset:
    """Return what Kraken calls a currency.

    >>> asset("BTC").id, asset("USD").id, asset("SOL").id, asset("DOGE").id
    ('XXBT', 'ZUSD', 'SOL', 'XXDG')
    """
    altname = _ALTNAMES.get(currency, currency)
    if altname in _CRYPTO_WITH_X:
        return Asset(f"X{altname}", altname, 10, 5)
    if altname in _MONEY:
        return Asset(f"Z{altname}" if altname in _MONEY_WITH_Z else altname, altname, 4, 2)
    return Asset(altname, altname, 10, 5)


def pair(rules: MarketRules) -> Pair:
    """Return what Kraken calls a market: only the oldest have ids other than their altnames."""
    base, quote = asset(rules.base), asset(rules.quote)
    old = base.id != base.altname and quote.id != quote.altname
    # Of the old currencies' markets, those in Australian dollars and those of DOGE came later.
    late = quote.altname == "AUD" or (base.altname == "XDG" and quote.altname in _MONEY)
    return Pair(
        symbol=rules.symbol,
        id=base.id + quote.id if old and not late else base.altname + quote.altname,
        altname=base.altname + quote.altname,
        wsname=f"{base.altname}/{quote.altname}",
        base=base,
        quote=quote,
        rules=rules,
        price_decimals=decimals_of(rules.price_step),
        lot_decimals=decimals_of(rules.amount_step),
    )


class Names:
    """All markets of an exchange, found by any of their names."""

    def __init__(self, rules: Iterable[MarketRules]) -> None:
        self.pairs = {each.symbol: pair(each) for each in rules}
        self._by_name = {
            name: found
            for found in self.pairs.values()
            for name in (found.id, found.altname, found.wsname, found.symbol)
        }

    def find(self, name: str) -> Pair | None:
        """Return the market of that id, altname or name in streams."""
        return self._by_name.get(name)

    def assets(self) -> dict[str, Asset]:
        """Return all currencies of the markets, by id."""
        both = (each for found in self.pairs.values() for each in (found.base, found.quote))
        return {each.id: each for each in both}


def decimals_of(value: Decimal) -> int:
    """Return the number of decimals that a number needs.

    >>> decimals_of(Decimal("0.10")), decimals_of(Decimal(5)), decimals_of(Decimal("1E-8"))
    (1, 0, 8)
    """
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(value: Decimal, least: int) -> str:
    """Write a number with at least so many decimals, and with more where it has more: nothing is rounded.

    >>> plain(Decimal("1E+2"), 4), plain(Decimal("0.123450"), 4)
    ('100.0000', '0.12345')
    """
    return f"{value:.{max(least, decimals_of(value))}f}"
