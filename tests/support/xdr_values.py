"""Values of any type of a compiled .x file, for hypothesis, and modules made of .x text in memory."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from nfsrpc.rpcgen.compiler import Compiled, Options, compile_file, compile_source
from nfsrpc.rpcgen.layout import Layout
from nfsrpc.rpcgen.model import (
    Array,
    Boolean,
    EnumType,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    Opaque,
    Optional,
    Ref,
    Spec,
    String,
    StructType,
    Type,
    UnionType,
    Void,
)
from nfsrpc.rpcgen.python.module import generate
from nfsrpc.rpcgen.python.names import top_level
from nfsrpc.rpcgen.source import Source
from nfsrpc.xdr import Quadruple

_COUNT = itertools.count()
_MOST_NESTING = 4
_MOST_BYTES = 40
_MOST_ELEMENTS = 5


def compiled(text: str, options: Options = Options()) -> Compiled:
    """Compile .x text."""
    return compile_source(Source("test.x", text), None, options)


def module_of(spec: Spec) -> ModuleType:
    """Import the generated module of a specification."""
    module = ModuleType(f"generated_{next(_COUNT)}")
    sys.modules[module.__name__] = module
    exec(compile(generate(spec), f"<{spec.name}>", "exec"), module.__dict__)
    return module


def module_of_text(text: str, options: Options = Options()) -> ModuleType:
    """Compile .x text and import its generated module."""
    return module_of(compiled(text, options).spec)


def module_of_file(path: Path, options: Options = Options()) -> ModuleType:
    """Compile a .x file and import its generated module."""
    return module_of(compile_file(path, options).spec)


class Values:
    """Strategies for the values of the types of one specification and its generated module."""

    def __init__(self, spec: Spec, module: ModuleType) -> None:
        self.spec = spec
        self.module = module
        self.layout = Layout(spec)

    def named(self, name: str) -> st.SearchStrategy[Any]:
        """Return the strategy for the type called `name`."""
        return self.of(Ref(name), 0)

    def of(self, type: Type, depth: int) -> st.SearchStrategy[Any]:
        match type:
            case Integer(bits, signed):
                low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
                return st.integers(low, high)
            case Floating(128):
                return st.binary(min_size=16, max_size=16).map(Quadruple.from_bytes)
            case Floating(bits):
                return st.floats(width=bits, allow_nan=False)
            case Boolean():
                return st.booleans()
            case Void():
                return st.none()
            case FixedOpaque(size):
                return st.binary(min_size=size, max_size=size)
            case Opaque(bound):
                return st.binary(max_size=min(_MOST_BYTES, _MOST_BYTES if bound is None else bound))
            case String(bound):
                # C strings cannot hold a zero byte, and C is one of the peers these values are sent to.
                most = min(_MOST_BYTES, _MOST_BYTES if bound is None else bound)
                return st.lists(st.integers(1, 255), max_size=most).map(bytes)
            case FixedArray(element, size):
                return st.lists(self.of(element, depth), min_size=size, max_size=size)
            case Array(element, bound):
                most = 0 if depth > _MOST_NESTING else min(_MOST_ELEMENTS, _MOST_ELEMENTS if bound is None else bound)
                if most == 0:
                    return st.builds(list)
                return st.lists(st.deferred(lambda: self.of(element, depth + 1)), max_size=most)
            case Optional(element):
                if depth > _MOST_NESTING:
                    return st.none()
                return st.none() | st.deferred(lambda: self.of(element, depth + 1))
        return self.of_target(self.spec.resolve(type), depth)

    def of_target(self, target: Any, depth: int) -> st.SearchStrategy[Any]:
        match target:
            case EnumType(name=name):
                return st.sampled_from(list(getattr(self.module, top_level(name))))
            case StructType(name=name, fields=fields):
                cls = getattr(self.module, top_level(name))
                return st.tuples(*(self.of(f.type, depth) for f in fields)).map(lambda values: cls(*values))
            case UnionType():
                return self.of_union(target, depth)
        return self.of(target, depth)

    def of_union(self, union: UnionType, depth: int) -> st.SearchStrategy[Any]:
        cls = getattr(self.module, top_level(union.name))
        kind = self.spec.resolve(union.discriminant.type)
        names = [arm.field for arm in union.arms] + ([union.default] if union.default else [])
        positions = {f.name: i for i, f in enumerate(f for f in names if not isinstance(f.type, Void))}

        def tag(value: int) -> Any:
            match kind:
                case EnumType(name=name):
                    return getattr(self.module, top_level(name))(value)
                case Boolean():
                    return bool(value)
            return value

        def arm(value: int, field: Any) -> st.SearchStrategy[Any]:
            if isinstance(field.type, Void):
                return st.just(cls(tag(value)))
            before = [None] * positions[field.name]
            return self.of(field.type, depth + 1).map(lambda item: cls(tag(value), *before, item))

        choices = [(value, a.field) for a in union.arms for _, value in a.labels]
        if union.default is not None:
            known = {value for value, _ in choices}
            match kind:
                case EnumType(members=members):
                    others = [value for _, value in members if value not in known]
                case Boolean():
                    others = [value for value in (0, 1) if value not in known]
                case _:
                    others = [value for value in (0, 1, 2, 77, 2**31 - 1) if value not in known]
            choices += [(value, union.default) for value in others]
        if depth > _MOST_NESTING:
            least = min(self.layout.size(field.type).least for _, field in choices)
            choices = [c for c in choices if self.layout.size(c[1].type).least == least]
        return st.sampled_from(choices).flatmap(lambda choice: arm(*choice))
