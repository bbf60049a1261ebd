from __future__ import annotations

from data.handbook import PAGE, lake_page
from data.tables import TABLES


def test_the_page_of_the_lake_is_in_step_with_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == lake_page(), "renew it: make docs"


def test_every_column_says_what_it_means() -> None:
    for table in TABLES.values():
        assert set(table.key) | set(table.partition) | set(table.sort) <= set(table.schema.names)
        assert all(column.meaning for column in table.columns)
