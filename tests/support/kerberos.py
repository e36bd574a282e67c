"""A Kerberos realm of its own on loopback: KDC, principals, keytab and tickets in a directory, for a few tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nfsrpc.transport.endpoints import bind

REALM = "TEST.EXAMPLE"
_PASSWORD = "never typed"
_START_LIMIT = 30.0  # seconds
_PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


class NoKerberos(Exception):
    """The programs of a KDC are not on this machine."""


class Realm:
    """A running realm. `environment` points the Kerberos library at it; user ``alice`` has a ticket there."""

    def __init__(self, directory: Path) -> None:
        for command in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit"):
            if shutil.which(command, path=_PATH) is None:
                raise NoKerberos(f"not on this machine: {command}")
        self.directory = directory
        self.keytab = directory / "keytab"
        self.port, self.admin_port, password_port = _free_ports(3)
        (directory / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
            " rdns = false\n dns_canonicalize_hostname = false\n"
            f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{self.port}\n }}\n"
            f"[domain_realm]\n localhost = {REALM}\n .localhost = {REALM}\n"
        )
        (directory / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n {REALM} = {{\n  database_name = {directory}/db\n  key_stash_file = {directory}/stash\n"
            f"  acl_file = {directory}/acl\n  max_life = 10h\n  kadmind_listen = 127.0.0.1:{self.admin_port}\n"
            f"  kpasswd_listen = 127.0.0.1:{password_port}\n }}\n"
        )
        (directory / "acl").write_text(f"*/admin@{REALM} *\n")
        self.environment = dict(
            os.environ,
            PATH=_PATH,
            KRB5_CONFIG=str(directory / "krb5.conf"),
            KRB5_KDC_PROFILE=str(directory / "kdc.conf"),
            KRB5CCNAME=f"FILE:{directory}/alice.cc",
            KRB5_KTNAME=f"FILE:{self.keytab}",
            KRB5RCACHENAME="none:",
        )
        self._kdc: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the database and serve it."""
        self.run("kdb5_util", "-r", REALM, "-P", _PASSWORD, "create", "-s")
        self.admin("addprinc -randkey nfs/localhost", "addprinc -randkey host/localhost")
        self.admin(*(f"addprinc -pw {user} {user}" for user in ("alice", "bob")))
        self.admin(f"ktadd -q -k {self.keytab} nfs/localhost")
        log = (self.directory / "kdc.log").open("wb")
        self._kdc = subprocess.Popen(
            ["krb5kdc", "-n", "-P", str(self.directory / "pid")], env=self.environment, stdout=log, stderr=log
        )
        log.close()
        self._await_port(self._kdc, self.port, "kdc.log")
        for user in ("alice", "bob"):
            self.ticket(user)

    def _await_port(self, process: subprocess.Popen[bytes], port: int, log: str) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            assert process.poll() is None, (self.directory / log).read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"nothing listens on port {port}: {(self.directory / log).read_text()}")

    def ticket(self, user: str, *options: str) -> str:
        """Get a ticket for `user`; the value of KRB5CCNAME that holds it. `options` are kinit's."""
        cache = self.cache(user)
        environment = dict(self.environment, KRB5CCNAME=cache)
        command = ["kinit", *options, user]
        subprocess.run(command, env=environment, input=f"{user}\n", text=True, check=True, capture_output=True)
        return cache

    def cache(self, user: str) -> str:
        """The value of KRB5CCNAME with `user`'s ticket."""
        return f"FILE:{self.directory}/{user.replace('/', '.')}.cc"

    @contextmanager
    def kadmind(self) -> Iterator[int]:
        """MIT's administration server, which speaks RPCSEC_GSS; its port."""
        with (self.directory / "kadmind.log").open("wb") as log:
            process = subprocess.Popen(
                ["kadmind", "-nofork", "-r", REALM, "-P", str(self.directory / "kadmind.pid")],
                env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self._await_port(process, self.admin_port, "kadmind.log")
            yield self.admin_port
        finally:
            process.terminate()
            process.wait(30)

    def admin(self, *commands: str) -> None:
        """kadmin.local commands."""
        self.run("kadmin.local", "-r", REALM, text="\n".join(commands) + "\n")

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program inside the realm; its failure is the test's."""
        done = subprocess.run(
            command, env=self.environment, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def stop(self) -> None:
        """End the KDC."""
        if self._kdc is not None:
            self._kdc.terminate()
            self._kdc.wait(30)


def _free_ports(count: int) -> list[int]:
    """Different ports that are free for UDP and TCP at this moment."""
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            (endpoint,) = bind("127.0.0.1", 0)
            held.callback(endpoint.close)
            ports.append(endpoint.port)
        return ports
