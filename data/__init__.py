"""The ground floor: settings, errors, the lake's tables, its writer and its DuckDB views."""
