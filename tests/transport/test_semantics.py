"""Maybe, at least once, at most once: what each lets happen on a link that loses a third of everything."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, FILEREADWRITE_2_service, readargs, writeargs
from nfsrpc.rpc.dispatch import Binding, at_most_once
from nfsrpc.rpc.errors import RpcTimeout
from nfsrpc.rpc.history import MemoryHistory
from nfsrpc.rpc.history_table import SharedHistory
from nfsrpc.rpc.retry import AT_LEAST_ONCE, AT_MOST_ONCE, MAYBE, RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport import Server
from nfsrpc.transport.client_udp import connect_udp

CALLS = 60
LOSSY = Faults(drop=0.33)
LOSSY_AND_DOUBLING = Faults(drop=0.33, duplicate=0.33)


def hasty(policy: RetryPolicy) -> RetryPolicy:
    """The same semantics, with pauses for a link of no length."""
    return RetryPolicy(0.03, 1.2, 0.2, 0.1, policy.transmissions, policy.window)


class Counting(FILEREADWRITE_2_service):
    """Counts executions; the answer to the n-th execution of one call would be n."""

    def __init__(self) -> None:
        self.executions: Counter[int] = Counter()

    def WRITE(self, arg, call):
        self.executions[arg.f] += 1

    def READ(self, arg, call):
        self.executions[arg.f] += 1
        return b"%d" % self.executions[arg.f]


@contextlib.contextmanager
def running(binding: Binding) -> Iterator[int]:
    server = Server(lambda: [binding], [("127.0.0.1", 0)])
    loop = server.loop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield server.ports[0]
    finally:
        loop.stop()
        thread.join()
        server.close()


def call_all(port: int, faults: Faults, policy: RetryPolicy, timeout: float) -> dict[int, bytes]:
    """The answers to `CALLS` calls, by number; those that got none are not in it."""
    answers = {}
    with (
        Chaos(("127.0.0.1", port), up=faults, down=faults, seed=5) as chaos,
        connect_udp("127.0.0.1", chaos.address[1], policy=hasty(policy), timeout=timeout) as client,
    ):
        procedure = FILEREADWRITE_2_service.procedures[2]
        pending = [client.submit(procedure, (readargs(number, 0, 1),)) for number in range(CALLS)]
        for number, call in enumerate(pending):
            with contextlib.suppress(RpcTimeout):
                answers[number] = client.wait(call)
    return answers


def test_maybe_runs_a_call_once_or_not_at_all_and_does_not_say_which():
    service = Counting()
    with running(Binding(service)) as port:
        answers = call_all(port, LOSSY, MAYBE, 2)
    executed = set(service.executions)
    assert set(service.executions.values()) == {1}
    assert set(answers) < executed, "of those without an answer some ran"
    assert len(executed) < CALLS, "and some did not"


def test_at_least_once_answers_every_call_and_runs_some_again():
    service = Counting()
    with running(Binding(service)) as port:
        answers = call_all(port, LOSSY, AT_LEAST_ONCE, 60)
    assert set(answers) == set(service.executions) == set(range(CALLS))
    assert max(service.executions.values()) > 1


@pytest.mark.parametrize("make_history", [MemoryHistory, SharedHistory])
def test_at_most_once_answers_every_call_and_runs_each_once(make_history):
    service = Counting()
    with running(at_most_once(service, make_history())) as port:
        answers = call_all(port, LOSSY_AND_DOUBLING, AT_MOST_ONCE, 60)
    assert answers == dict.fromkeys(range(CALLS), b"1")
    assert service.executions == Counter(range(CALLS))


def test_idempotent_calls_are_not_remembered():
    service = Counting()
    history = MemoryHistory(capacity=1)
    with running(at_most_once(service, history, idempotent={2})) as port, connect_udp("127.0.0.1", port) as client:
        files = FILEREADWRITE_2_client(client)
        for _ in range(5):
            files.READ(readargs(1, 0, 1))
        files.WRITE(writeargs(2, 0, b""))
    assert service.executions == Counter({1: 5, 2: 1})
