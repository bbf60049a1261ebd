"""Random numbers by address instead of by order: the same seed, place and number give the same draw, on any machine."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ANGLES = 1 << 32
"""From here on, streams are the second halves of normal draws."""


def key_of(*words: object) -> np.uint64:
    """Return the key of a stream of draws, named by any words."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def keys_at(key: np.uint64, places: NDArray[np.int64]) -> Keys:
    """Return a key for each place (such as the number of an hour since 1970)."""
    return _mix(key + _mix(places.astype(np.uint64) * _GOLDEN))


def bits(keys: Keys, stream: int, count: int) -> NDArray[np.uint64]:
    """Return a row of draws for each key; a key has streams without number, and no two draws of a row are equal."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return _mix((keys ^ np.uint64(stream))[:, None] + numbers[None, :])


def uniform(keys: Keys, stream: int, count: int) -> NDArray[np.float64]:
    """Return draws between 0 and 1, neither of which is ever drawn."""
    return ((bits(keys, stream, count) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(keys: Keys, stream: int, count: int) -> NDArray[np.float64]:
    """Return standard normal draws, by Box and Muller (1958)."""
    lengths, angles = uniform(keys, stream, count), uniform(keys, stream + _ANGLES, count)
    return np.asarray(np.sqrt(-2 * np.log(lengths)) * np.cos(2 * math.pi * angles))


def _mix(values: Keys) -> Keys:
    """Scramble 64 bits, one to one: SplitMix64 of Steele, Lea and Flood (2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
