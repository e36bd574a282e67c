"""Dispatch for asyncio: handlers may be coroutines, and calls overlap."""

import asyncio
import inspect
import time
from typing import Any

from nfsrpc.protocols.rpc_msg import accept_stat

from .dispatch import _FAILED, Call, Dispatcher, Drop, _log_failure, _log_full, _result, _succeeded, replay_key
from .errors import RpcError
from .history import Full, History, Kept, Lost, UnderWay
from .later import Later, Postponed
from .message import Refusal, Rejected
from .security import Peer


class AsyncDispatcher(Dispatcher):
    """A `Dispatcher` whose handlers may be coroutine functions. Its bindings have no store, no units of work."""

    async def answer(self, message: bytes, peer: Peer) -> list[bytes] | None:
        """The reply of one call; None where it gets none. A handler that outlives the call's deadline is cancelled."""
        began, row = time.monotonic(), self._recorder.refused
        reply: list[bytes] | None = None
        try:
            call = self._admission.admit(message, peer, began + self._limits.call_seconds)
            row = call.target.row
            reply = await self._reply(call)
        except Refusal as refusal:
            reply = None if refusal.reply is None else [refusal.reply]
        except Postponed as postponed:
            reply = await _arrival(postponed.later)
        finally:
            self._recent.settle([(message, peer)], [reply])
            self._recorder.turn([row], began)
        return reply

    async def _reply(self, call: Call) -> list[bytes] | None:
        history = call.target.history
        try:
            args = self._arguments(call)
            if history is None:
                return _succeeded(call, await self._run(call, args))
            key = replay_key(call)
            kept = history.claim(key)
            if kept is not None:
                self._recorder.replayed(call.target.row)
            else:
                kept = await self._run_once(history, key, call, args)
        except UnderWay:
            return None
        except Full:
            _log_full(call)
            return None
        except Lost:
            kept = _FAILED
        except Postponed:
            raise
        except Exception as error:
            return self._fail(call, error)
        return self._kept(call, kept)

    async def _run_once(self, history: History, key: bytes, call: Call, args: tuple[Any, ...]) -> Kept:
        """As `Dispatcher._run_claimed`; what is cancelled has perhaps done something, too."""
        try:
            kept = Kept(accept_stat.SUCCESS, _result(call, await self._run(call, args)))
        except (Drop, RpcError, Rejected):
            history.release(key)
            raise
        except Exception as error:
            _log_failure(call, error)
            kept = _FAILED
        except BaseException:
            history.settle(key, _FAILED)
            raise
        history.settle(key, kept)
        return kept

    async def _run(self, call: Call, args: tuple[Any, ...]) -> Any:
        value = call.target.handler(*args, call)
        if inspect.isawaitable(value):
            async with asyncio.timeout(call.deadline - time.monotonic()):
                value = await value
        return value


async def _arrival(later: Later) -> list[bytes] | None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[bytes] | None] = loop.create_future()

    def give(reply: list[bytes] | None) -> None:
        loop.call_soon_threadsafe(future.set_result, reply)

    later.then(give)
    return await future
