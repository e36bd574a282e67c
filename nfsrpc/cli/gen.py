"""`nfsrpc gen`: compile a .x file."""

from pathlib import Path

import click

from nfsrpc.rpcgen import backends
from nfsrpc.rpcgen.compiler import Options, compile_file
from nfsrpc.rpcgen.source import CompileError

from .errors import Failure


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT",
    help="File or directory to write; without it one file goes to standard output, several to this directory.",
)  # fmt: skip
@click.option("-D", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a preprocessor macro.")
@click.option(
    "-I", "--include", "include_dirs", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Look for #include files there, too.",
)  # fmt: skip
@click.option(
    "--with", "libraries", multiple=True, type=click.Path(path_type=Path), metavar="OTHER.x",
    help="Take definitions that FILE uses and does not have from there.",
)  # fmt: skip
@click.option("--backend", default="python", show_default=True, metavar="NAME", help="What to make: see below.")
@click.option("--sample", is_flag=True, help="Make a server and a client to start from; the same as --backend sample.")
def gen(
    file: Path,
    output: Path | None,
    defines: tuple[str, ...],
    include_dirs: tuple[Path, ...],
    libraries: tuple[Path, ...],
    backend: str,
    sample: bool,
) -> None:
    """Compile FILE.x: types, codecs, client and service classes of an RPC protocol.

    \b
    Back ends: python  types, codecs, clients and services (needs nfsrpc.xdr only)
               sample  a runnable server and client to start from
               json    the syntax tree and the checked types with wire sizes
               docs    a reference page in Markdown; html: the same in HTML
               scapy   packet classes for dissecting captures
    Others come from installed packages, through the entry-point group
    nfsrpc.backends.

    Exit status: 0 done; 1 the file has errors, which are shown with their
    places; 2 the command line was wrong.
    """
    name = "sample" if sample else backend
    try:
        generate = backends.load(name)
    except LookupError:
        raise click.BadParameter(
            f"{name!r} is not one of {', '.join(backends.names())}", param_hint="--backend"
        ) from None
    macros = dict(_macro(define) for define in defines)
    try:
        compiled = compile_file(file, Options(include_dirs, macros, libraries))
    except CompileError as failure:
        for diagnostic in failure.diagnostics:
            click.echo(diagnostic.render(), err=True)
        errors = sum(d.severity == "error" for d in failure.diagnostics)
        raise Failure(f"{file}: {errors} error{'s' if errors != 1 else ''}") from None
    except OSError as failure:
        raise Failure(f"cannot read {failure.filename or file}: {failure.strerror}") from None
    for warning in compiled.warnings:
        click.echo(warning.render(), err=True)
    _write(generate(compiled), output)


def _macro(define: str) -> tuple[str, str]:
    name, equals, value = define.partition("=")
    if not name.isidentifier():
        raise click.BadParameter(f"{define!r} is not NAME or NAME=VALUE", param_hint="-D")
    return name, value if equals else "1"


def _write(files: dict[str, str], output: Path | None) -> None:
    if len(files) == 1 and output is None:
        click.echo(next(iter(files.values())), nl=False)
        return
    try:
        if len(files) == 1 and output is not None and not output.is_dir():
            output.write_text(next(iter(files.values())))
            return
        target = output or Path()
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / name).write_text(text)
    except OSError as failure:
        raise Failure(f"cannot write {failure.filename}: {failure.strerror}") from None
