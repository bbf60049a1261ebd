"""What the pages' own elements are made of: a model in Python, and a script of assets that shows it."""

from __future__ import annotations

import hashlib
from typing import Any

from bokeh.document import Document
from panel.custom import JSComponent


class Component(JSComponent):
    """An element that a script shows, which is JavaScript as browsers know it."""

    __abstract = True

    def _get_properties(self, doc: Document | None) -> dict[str, Any]:
        """Return the model's properties; what has the name of a bundle, Panel's client does not compile once more."""
        properties: dict[str, Any] = super()._get_properties(doc)
        return properties | {"bundle": hashlib.sha256(properties["esm"].encode()).hexdigest()}
