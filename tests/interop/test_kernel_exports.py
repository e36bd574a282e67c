"""The Linux kernel's own client under the rules of exports: who it acts as, and whether it is let in at all."""

import pytest

SQUASHED = """
touch f && mkdir d && stat -c '%n %u %g' f d
chown 5 f || echo no chown
mknod n b 8 0 || echo no mknod
cat secret || echo no secret
"""


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_root_is_nobody_where_it_is_squashed(kernel_client, make_server, proto):
    server = make_server()
    made = kernel_client.run(server, proto, "chmod 777 . && echo x > secret && chmod 600 secret")
    assert made.status == 0, made
    server.restart("--root-squash", "--anonuid", "4711", "--anongid", "4712", "--fsid", "77")
    result = kernel_client.run(server, proto, SQUASHED)
    assert result.output.splitlines() == ["f 4711 4712", "d 4711 4712", "no chown", "no mknod", "no secret"], result


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_who_is_not_let_in_cannot_mount(kernel_client, make_server, proto):
    result = kernel_client.run(make_server("--client", "192.0.2.0/24"), proto, "true")
    assert result.status != 0
    assert "ermission denied" in result.output + result.errors, result
