"""What a server offers: bindings do not change, and say which procedures run once."""

import pytest

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, at_most_once
from nfsrpc.rpc.history import MemoryHistory


class Files(FILEREADWRITE_2_service):
    def WRITE(self, arg, call): ...

    def READ(self, arg, call): ...


@pytest.mark.parametrize(("idempotent", "once"), [((), {1, 2}), ((2,), {1}), ([1, 2], set())])
def test_everything_but_null_and_what_may_run_again_runs_once(idempotent, once):
    history = MemoryHistory()
    service = Files()
    binding = at_most_once(service, history, idempotent)
    assert (binding.service, binding.history, binding.once) == (service, history, once)
    assert (binding.work, binding.failure, binding.tls_required) == (None, None, False)


def test_a_binding_does_not_change():
    binding = Binding(Files())
    with pytest.raises(AttributeError):
        binding.once = frozenset()
    assert not hasattr(binding, "__dict__")
