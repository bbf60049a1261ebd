"""The matching engine of the practice exchange and of the paper broker: it computes, and does nothing else."""

from tasks.exchange.matching.book import Book, Level, derive_book
from tasks.exchange.matching.candles import Candle, Tick
from tasks.exchange.matching.engine import MatchingEngine
from tasks.exchange.matching.refusals import InvariantBroken, Reason, Refusal, RefusedOrder

__all__ = [
    "Book",
    "Candle",
    "InvariantBroken",
    "Level",
    "MatchingEngine",
    "Reason",
    "Refusal",
    "RefusedOrder",
    "Tick",
    "derive_book",
]
