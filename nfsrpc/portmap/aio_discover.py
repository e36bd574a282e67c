"""As `nfsrpc.portmap.discover`, in an asyncio event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

from nfsrpc.auth.base import Credential
from nfsrpc.rpc.retry import AT_LEAST_ONCE, RetryPolicy
from nfsrpc.transport.ping import null_procedure
from nfsrpc.xdr import Procedure

from .client import PORT
from .discover import Found, Inquiry


async def discover(
    program: int,
    version: int,
    *,
    procedure: Procedure | None = None,
    args: tuple[Any, ...] = (),
    timeout: float = 3.0,
    addresses: Iterable[str] | None = None,
    port: int = PORT,
    credential: Credential | None = None,
    policy: RetryPolicy = AT_LEAST_ONCE,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Found]:
    """See `nfsrpc.portmap.discover.discover`: ``async for found in discover(...)``."""
    target = null_procedure(program, version) if procedure is None else procedure
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    with Inquiry(target, args, timeout, addresses, port, credential, policy, clock) as inquiry:
        for question in inquiry.questions:
            loop.add_reader(question, arrived.set)
        try:
            while (pause := inquiry.ask()) is not None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), pause)
                arrived.clear()
                for question in inquiry.questions:
                    for found in question.answers():
                        yield found
        finally:
            for question in inquiry.questions:
                loop.remove_reader(question)
