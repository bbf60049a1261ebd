"""Each test that docs/peers.md names is there."""

from __future__ import annotations

import ast
import re

import pytest

from data.settings import CHECKOUT

PAGE = (CHECKOUT / "docs" / "peers.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/\S+?\.py)::(\w+)`", PAGE)


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((CHECKOUT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Symptom")]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []
