"""One exchange as people read it (a line, or whole structures) and as programs do (a JSON object)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from .decoded import Decoded
from .fields import Fields
from .identity import flavor_name, identity
from .structure import lines, plain


def line(decoded: Decoded, fields: Fields) -> str:
    """Time (UTC), client, server, transport, xid, procedure, what it is about, status, latency, what came back."""
    exchange = decoded.exchange
    seconds, rest = divmod(exchange.time, 1_000_000_000)
    clock = datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
    about = fields.call(decoded)
    outcome = "no reply" if exchange.reply is None else f"{decoded.status} {_latency(exchange.latency)}"
    brought = decoded.trouble or fields.reply(decoded)
    again = " (a repetition)" if exchange.again else f" (sent {exchange.repeats + 1} times)" if exchange.repeats else ""
    return (
        f"{clock}.{rest // 1000:06d} {exchange.client} > {exchange.server} {exchange.transport} {exchange.xid:08x} "
        f"{decoded.program} {decoded.procedure}{' ' if about else ''}{about} = {outcome}"
        f"{': ' if brought else ''}{brought}{again}"
    )


def _latency(latency: int | None) -> str:
    if latency is None:
        return ""
    return f"{latency / 1e3:.0f}us" if latency < 1_000_000 else f"{latency / 1e6:.3g}ms"


def structures(decoded: Decoded) -> Iterator[str]:
    """The whole of arguments and result, indented, to stand below the line."""
    exchange = decoded.exchange
    flavor = flavor_name(exchange.credential.flavor)
    yield f"  call: {len(exchange.call)} bytes, version {exchange.version}, {flavor}"
    caller = identity(exchange.credential)
    if caller is not None:
        yield from lines(caller, "credential")
    for number, argument in enumerate(decoded.arguments or ()):
        yield from lines(argument, f"argument {number + 1}" if len(decoded.arguments or ()) > 1 else "argument")
    if exchange.reply is not None:
        yield f"  reply: {len(exchange.reply)} bytes"
        if decoded.result is not None:
            yield from lines(decoded.result, "result")
    for which, extra in zip(("call", "reply"), decoded.extra, strict=True):
        if extra:
            yield f"  {extra} bytes too many behind the {which}"


def document(decoded: Decoded, fields: Fields) -> dict[str, Any]:
    """The exchange for JSON: times in seconds, opaque data as hexadecimal digits."""
    exchange = decoded.exchange
    return {
        "time": exchange.time / 1e9,
        "transport": exchange.transport,
        "client": str(exchange.client),
        "server": str(exchange.server),
        "xid": exchange.xid,
        "program": decoded.program,
        "program_number": exchange.program,
        "version": exchange.version,
        "procedure": decoded.procedure,
        "procedure_number": exchange.procedure,
        "flavor": flavor_name(exchange.credential.flavor),
        "credential": plain(identity(exchange.credential)),
        "status": decoded.status,
        "latency": None if exchange.latency is None else exchange.latency / 1e9,
        "sent": exchange.repeats + 1,
        "repetition": exchange.again,
        "about": fields.call(decoded),
        "trouble": decoded.trouble or None,
        "arguments": plain(decoded.arguments),
        "result": plain(decoded.result),
    }
