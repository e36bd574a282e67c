"""What tools/fuzz runs: one input at a time, under atheris."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import atheris

with atheris.instrument_imports(include=["nfsrpc"]):
    from nfsrpc.rpcgen.compiler import compile_file, compile_source
    from nfsrpc.rpcgen.model import Ref, Spec
    from nfsrpc.rpcgen.python.module import generate
    from nfsrpc.rpcgen.sample import empty_value
    from nfsrpc.rpcgen.source import CompileError, Source
    from nfsrpc.xdr import Limits, XdrDecodeError, decode, encode

# Small caps: a decoder that went beyond them would show in the memory limit of the run.
LIMITS = Limits(message=1 << 16, elements=1 << 14, depth=100)


def modules(paths: list[Path]) -> list[tuple[Spec, ModuleType]]:
    """Import the generated module of each file, instrumented."""
    made = []
    for path in paths:
        spec = compile_file(path).spec
        module = ModuleType(f"fuzzed_{path.stem}")
        sys.modules[module.__name__] = module
        exec(compile(generate(spec), path.stem, "exec"), module.__dict__)
        for name in spec.types:
            setattr(module, f"decode_{name}", atheris.instrument_func(getattr(module, f"decode_{name}")))
        made.append((spec, module))
    return made


def codecs(paths: list[Path]) -> list[tuple[Any, Any, str, ModuleType, Spec]]:
    """Return (encoder, decoder, type name, module, specification) of every type of every file."""
    return [
        (getattr(module, f"encode_{name}"), getattr(module, f"decode_{name}"), name, module, spec)
        for spec, module in modules(paths)
        for name in spec.types
    ]


def compile_target(data: bytes) -> None:
    """Compile text: errors are CompileError, output is Python."""
    text = data.decode("latin-1")
    try:
        compiled = compile_source(Source("fuzz.x", text))
    except CompileError as failure:
        assert str(failure)  # noqa: PT017
        return
    compile(generate(compiled.spec), "fuzz", "exec")


def decode_target(data: bytes, table: list[tuple[Any, Any, str, ModuleType, Spec]]) -> None:
    """Decode bytes: the first two choose the type; what is accepted is what the encoder writes."""
    if len(data) < 2:
        return
    encoder, decoder, name, _, _ = table[int.from_bytes(data[:2], "big") % len(table)]
    body = data[2:]
    try:
        value = decode(decoder, body, LIMITS)
    except XdrDecodeError:
        return
    again = encode(encoder, value)
    # A signalling NaN becomes a quiet one on its way through C's float; everything else stays.
    assert again == body or ((len(again) == len(body) and b"\x7f" in body) or b"\xff" in body), (name, body, again)


def seed(target: str, corpus: Path, paths: list[Path]) -> None:
    """Write inputs to start from: the .x files, or the smallest value of every type."""
    if target == "compile":
        for path in paths:
            (corpus / f"seed-{path.stem}").write_bytes(path.read_bytes()[:4096])
        return
    for number, (encoder, _, name, module, spec) in enumerate(codecs(paths)):
        value = eval(empty_value(spec, Ref(name)), {"protocol": module})
        (corpus / f"seed-{number}").write_bytes(number.to_bytes(2, "big") + encode(encoder, value))


def main(arguments: list[str]) -> None:
    """``seed TARGET CORPUS FILE.x...`` or ``run TARGET FILE.x... -- OPTION...``."""
    action, target, *rest = arguments
    if action == "seed":
        seed(target, Path(rest[0]), [Path(p) for p in rest[1:]])
        return
    end = rest.index("--")
    paths, options = [Path(p) for p in rest[:end]], rest[end + 1 :]
    if target == "compile":
        atheris.Setup([sys.argv[0], *options], compile_target)
    else:
        table = codecs(paths)
        atheris.Setup([sys.argv[0], *options], lambda data: decode_target(data, table))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
