"""The sample back end: a runnable server and client to start from, as ``rpcgen -a`` makes them for C."""

from __future__ import annotations

from .compiler import Compiled
from .model import (
    Array,
    Boolean,
    EnumType,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    Opaque,
    Optional,
    ProcedureType,
    ProgramType,
    Ref,
    Spec,
    String,
    StructType,
    Type,
    UnionType,
    VersionType,
    Void,
)
from .python.module import module_name
from .python.names import attribute, enum_member, top_level


def backend(compiled: Compiled) -> dict[str, str]:
    """Return NAME_server.py and NAME_client.py, which use the python back end's module NAME.py beside them."""
    spec = compiled.spec
    name = module_name(spec)
    return {f"{name}_server.py": _server(spec, name), f"{name}_client.py": _client(spec, name)}


def _versions(spec: Spec) -> list[tuple[ProgramType, VersionType]]:
    return [(program, version) for program in spec.programs for version in program.versions]


def _parameters(procedure: ProcedureType) -> list[str]:
    names = [attribute(f.name) for f in procedure.arguments]
    return [f"{name}_" if name == "call" else name for name in names]  # `call` is the method's own last one


def _server(spec: Spec, name: str) -> str:
    lines = [f'"""A server for {name}.x to start from: every procedure answers with an empty value."""', ""]
    lines += ["from typing import Any", "", f"import {name} as protocol", "", "from nfsrpc.transport import serve"]
    classes = []
    for program, version in _versions(spec):
        base = f"{top_level(program.name)}_{version.number}"
        classes.append(f"{base}()")
        lines += ["", "", f"class {base}(protocol.{base}_service):"]
        lines.append(f'    """{program.name} version {version.number}."""')
        for procedure in version.procedures:
            if procedure.number == 0 and not procedure.arguments and isinstance(procedure.result, Void):
                continue
            parameters = "".join(f", {p}: Any" for p in _parameters(procedure))
            lines += ["", f"    def {attribute(procedure.name)}(self{parameters}, call: Any) -> Any:"]
            shown = ", ".join(f"{{{p}!r}}" for p in _parameters(procedure))
            lines.append(
                f'        print(f"{procedure.name}({shown})")' if shown else f'        print("{procedure.name}()")'
            )
            lines.append(f"        return {empty_value(spec, procedure.result)}")
    lines += ["", "", 'if __name__ == "__main__":', f"    serve([{', '.join(classes)}], port=0)"]
    return "\n".join(lines) + "\n"


def _client(spec: Spec, name: str) -> str:
    lines = [f'"""A client for {name}.x to start from: calls every procedure once with empty values."""', ""]
    lines += ["import sys", "", f"import {name} as protocol", "", "from nfsrpc.transport.client_tcp import connect_tcp"]
    lines += ["", "", "def main(host: str, port: int) -> None:"]
    lines.append('    """Call every procedure of the server at `host` and `port`, over TCP."""')
    lines.append("    with connect_tcp(host, port) as caller:")
    for program, version in _versions(spec):
        base = f"{top_level(program.name)}_{version.number}"
        lines.append(f"        client_{base} = protocol.{base}_client(caller)")
        for procedure in version.procedures:
            values = ", ".join(empty_value(spec, f.type) for f in procedure.arguments)
            call = f"client_{base}.{attribute(procedure.name)}({values})"
            if isinstance(procedure.result, Void):
                lines += [f"        {call}", f'        print("{procedure.name}: done")']
            else:
                lines.append(f'        print("{procedure.name}:", {call})')
    if not spec.programs:
        lines.append('        print("the file has no program", caller)')
    lines += ["", "", 'if __name__ == "__main__":', "    if len(sys.argv) != 3:"]
    lines += [f'        sys.exit("usage: {name}_client.py HOST PORT")', "    main(sys.argv[1], int(sys.argv[2]))"]
    return "\n".join(lines) + "\n"


def empty_value(spec: Spec, type: Type) -> str:
    """Return a Python expression for the smallest valid value of a type; generated names are in ``protocol``."""
    match type:
        case Integer():
            return "0"
        case Floating(bits):
            return "0.0" if bits < 128 else "protocol._Quadruple()"
        case Boolean():
            return "False"
        case Void() | Optional():
            return "None"
        case FixedOpaque(size):
            return f"bytes({size})"
        case Opaque() | String():
            return 'b""'
        case Array():
            return "[]"
        case FixedArray(element, size):
            return f"[{empty_value(spec, element)} for _ in range({size})]"
    target = spec.resolve(type)
    match target:
        case EnumType(name=name, members=members):
            return f"protocol.{top_level(name)}.{enum_member(members[0][0])}"
        case StructType(name=name, fields=fields):
            return f"protocol.{top_level(name)}({', '.join(empty_value(spec, f.type) for f in fields)})"
        case UnionType():
            return _empty_union(spec, target)
    assert not isinstance(target, Ref)
    return empty_value(spec, target)


def _empty_union(spec: Spec, union: UnionType) -> str:
    """Return an expression for a union: an arm without a value where there is one, so that recursion ends."""
    name = f"protocol.{top_level(union.name)}"
    arms = sorted(union.arms, key=lambda arm: not isinstance(arm.field.type, Void))
    if not arms:
        return f"{name}({empty_value(spec, union.discriminant.type)})"
    kind = spec.resolve(union.discriminant.type)
    value = arms[0].labels[0][1]
    label = str(value)
    if isinstance(kind, EnumType):
        label = next(f"protocol.{top_level(kind.name)}.{enum_member(n)}" for n, v in kind.members if v == value)
    elif isinstance(kind, Boolean):
        label = str(bool(value))
    field = arms[0].field
    if isinstance(field.type, Void):
        return f"{name}({label})"
    return f"{name}({label}, {attribute(field.name)}={empty_value(spec, field.type)})"
