"""The JSON back end: the syntax tree as written, and the checked specification with wire sizes.

Every node is an object with its class's name under ``node``; places are ``{"file", "line", "column", "length"}``.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from .compiler import Compiled
from .layout import Layout
from .model import NamedType, Ref
from .source import Span

FORMAT = 1
"""Counts up when a reader of the old form would misread the new one."""


def backend(compiled: Compiled) -> dict[str, str]:
    """Return the one file NAME.json."""
    layout = Layout(compiled.spec)
    checked = plain(compiled.spec)
    checked["types"] = [_sized(type, layout) for type in compiled.spec.types.values()]
    document = {"format": FORMAT, "name": compiled.spec.name, "ast": plain(compiled.tree), "checked": checked}
    return {f"{compiled.spec.name}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"}


def _sized(type: NamedType, layout: Layout) -> dict[str, Any]:
    size = layout.size(Ref(type.name))
    node: dict[str, Any] = plain(type)
    return {**node, "wire_size": {"least": size.least, "most": size.most}}


def plain(value: Any) -> Any:
    """Return `value` as what JSON knows."""
    if isinstance(value, Span):
        return {"file": value.source.name, "line": value.line, "column": value.column, "length": value.length}
    if is_dataclass(value) and not isinstance(value, type):
        return {"node": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
