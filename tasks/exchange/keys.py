"""Keys: where they come from, where they may be sent, and that they are never shown."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from data import settings
from data.errors import BadInput
from tasks.exchange.practice.keys import PREFIX, secret_of

_VARIABLES: Final = {"apiKey": "PUBLIC_KEY", "secret": "SECRET_KEY"}
"""ccxt's names of the two that nearly every exchange wants; others keep their name, in capitals."""


class Secret(str):
    """Text that does not show itself: its repr is `***`, wherever it lies, as in a dict of headers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Keys:
    """What an account is opened with; its repr shows none of it."""

    public: Secret
    secret: Secret
    others: Mapping[str, Secret] = field(default_factory=dict)
    """What some exchanges want besides, by ccxt's name: password, uid, ..."""

    def for_ccxt(self) -> dict[str, Secret]:
        """Return the keys by ccxt's names."""
        return {"apiKey": self.public, "secret": self.secret, **self.others}


def practice_keys(name: str = "trader") -> Keys:
    """Return the keys of an account at the practice exchange: worked out, not kept, for they guard nothing."""
    public = f"{PREFIX}{name}"
    return Keys(Secret(public), Secret(secret_of(public)))


def read_keys(exchange: str, wanted: Iterable[str] = ("apiKey", "secret")) -> Keys:
    """Read an exchange's keys from the environment, else from `.env` in the checkout: KRAKEN_PUBLIC_KEY and so on.

    Call it where orders are placed, and nowhere else. `wanted` are ccxt's names. Raises BadInput naming the variable
    that is missing or malformed, never its value.
    """
    names = ["apiKey", "secret", *(name for name in wanted if name not in _VARIABLES)]
    found = {name: _variable(exchange, name) for name in names}
    if exchange == "kraken":
        _refuse_unless_base64(found["secret"], variable_of(exchange, "secret"))
    public, secret = found.pop("apiKey"), found.pop("secret")
    return Keys(public, secret, found)


def variable_of(exchange: str, name: str) -> str:
    """Return the variable in which a key is given.

    >>> variable_of("kraken", "apiKey"), variable_of("okx", "password")
    ('KRAKEN_PUBLIC_KEY', 'OKX_PASSWORD')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _VARIABLES.get(name, name))
    return f"{re.sub(r'[^A-Za-z0-9]', '_', exchange)}_{words}".upper()


def refuse_address(public: str, address: str) -> None:
    """Raise BadInput unless the key may be sent there.

    A practice key goes to loopback alone; every other key goes by https, and never to loopback: neither do practice
    keys reach a real exchange, nor real keys a practice one.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    where = f"{parts.scheme}://{host}"
    if parts.username is not None or "\\" in address:
        raise BadInput(f"no key is sent to {where}: its address names a user")
    if public.startswith(PREFIX):
        if not is_loopback(host):
            raise BadInput(f"a practice key is sent to a loopback address only, not to {where}")
    elif is_loopback(host) or _is_this_machine(host):
        raise BadInput(f"a real key is not sent to a loopback address, which {where} is: use a practice key there")
    elif parts.scheme != "https":
        raise BadInput(f"a key is sent by https only, not to {where}")


def is_loopback(host: str) -> bool:
    """Tell whether this is the machine itself, by number or as `localhost`; other names are not looked up."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_this_machine(host: str) -> bool:
    """Tell whether a number leads to this machine as well, though it is no loopback address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address.is_unspecified or (mapped is not None and mapped.is_loopback)


def _variable(exchange: str, name: str) -> Secret:
    variable = variable_of(exchange, name)
    value = Secret(os.environ.get(variable) or _dotenv().get(variable) or "")
    if not value:
        raise BadInput(f"{variable} is not set: give it in the environment or in {settings.CHECKOUT.name}/.env")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise BadInput(f"{variable} cannot be used: it has a blank or a character that no key has")
    return value


def _dotenv() -> dict[str, str | None]:
    from dotenv import dotenv_values

    return dotenv_values(settings.CHECKOUT / ".env")


def _refuse_unless_base64(secret: str, variable: str) -> None:
    try:
        whole = len(base64.b64decode(secret, validate=True)) > 0
    except binascii.Error:
        whole = False
    if not whole:
        raise BadInput(f"{variable} cannot be used: it is not base64, which Kraken's secrets are")
