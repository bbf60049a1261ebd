"""Ids of orders and fills: they look like chance, and are the same in every run."""

from __future__ import annotations

from base64 import b32encode
from hashlib import blake2b
from typing import Literal


def make_id(kind: Literal["O", "T"], number: int, seed: int) -> str:
    """Return the id of the order (O) or fill (T) of this number, in the form of Kraken's.

    >>> make_id("O", 1, 0)
    'OVRJYC-ZZDSQ-IZX5VW'
    """
    text = b32encode(blake2b(f"{kind}{seed}.{number}".encode(), digest_size=10).digest()).decode()
    return f"{kind}{text[:5]}-{text[5:10]}-{text[10:]}"
