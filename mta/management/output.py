"""How commands print: values as JSON, rows as a table that fits a terminal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses, instants and tuples as what JSON knows; instants are ISO 8601 in UTC."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def as_json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False)


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]], widest: int = 44) -> str:
    """Columns as wide as their widest cell; a cell longer than `widest` is cut, in the last column
    none. Numbers stand to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    cut = [
        [clip(cell, widest) if at < len(row) - 1 else cell for at, cell in enumerate(row)]
        for row in [list(titles), *cells]
    ]
    widths = [max(len(row[at]) for row in cut) for at in range(len(titles))]
    right = [
        all(isinstance(row[at], int | float) or row[at] == "" for row in rows) and bool(rows)
        for at in range(len(titles))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cut
    ]
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text without what a terminal would obey: subjects and replies come from strangers."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
