"""Keys of the practice exchange: their secrets, what each may do, the nonces it has used."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

PREFIX = "PRACTICE-"
"""Every public key of the practice exchange begins so, and no key of a real exchange does."""

Permission = Literal["query", "trade", "cancel"]

ALL: frozenset[Permission] = frozenset({"query", "trade", "cancel"})


def secret_of(public: str) -> str:
    """Return the secret of a practice key: it can be worked out by anyone, for it guards nothing.

    >>> secret_of("PRACTICE-1")[:8]
    '79By4hsz'
    """
    return base64.b64encode(hashlib.sha512(public.encode("utf-8", "surrogatepass")).digest()).decode()


class KeyRing:
    """The keys of the practice exchange. Whatever has the prefix is a key, and may do all unless told otherwise."""

    def __init__(self) -> None:
        self._permissions: dict[str, frozenset[Permission]] = {}
        self._nonces: dict[str, int] = {}

    def knows(self, public: str) -> bool:
        """Tell whether this is a practice key."""
        return public.startswith(PREFIX) and len(public) > len(PREFIX)

    def permissions(self, public: str) -> frozenset[Permission]:
        """Return what the key may do."""
        return self._permissions.get(public, ALL)

    def permit(self, public: str, permissions: Iterable[Permission]) -> None:
        """Let the key do this and nothing else."""
        self._permissions[public] = frozenset(permissions)

    def take_nonce(self, public: str, nonce: int, *, wire: str) -> bool:
        """Take a nonce, which must be higher than all that the key has used on this wire; tell whether it was."""
        owner = f"{wire} {public}"
        if nonce <= self._nonces.get(owner, -1):
            return False
        self._nonces[owner] = nonce
        return True

    def snapshot(self) -> dict[str, Any]:
        """Return permissions and nonces, to be kept over a restart as JSON."""
        return {
            "permissions": {public: sorted(allowed) for public, allowed in self._permissions.items()},
            "nonces": dict(self._nonces),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take up a snapshot."""
        for public, allowed in snapshot["permissions"].items():
            self._permissions[public] = frozenset(permission for permission in ALL if permission in allowed)
        self._nonces.update(snapshot["nonces"])
