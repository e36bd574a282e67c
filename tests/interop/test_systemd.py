"""tools/nfsrpc.service and nfsrpc.socket: systemd takes them, and what they start serves."""

import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
UNITS = ("nfsrpc.service", "nfsrpc.socket")
UNPRIVILEGED = ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]


def values(unit: str, key: str) -> list[str]:
    """Of every line ``key=...``."""
    return re.findall(rf"^{key}=(.*)$", (TOOLS / unit).read_text(), re.MULTILINE)


def listening(key: str) -> list[str]:
    """Options of systemd-socket-activate."""
    return [option for address in values("nfsrpc.socket", key) for option in ("-l", address)]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path, need_commands):
    need_commands("systemd-analyze")
    program = tmp_path / "nfsrpc"
    program.symlink_to("/bin/true")
    for unit in UNITS:
        text = (TOOLS / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/local/bin/nfsrpc", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *UNITS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_first_call_starts_what_the_units_name_and_is_answered(tmp_path, namespace, need_commands):
    """The sockets, the command and the environment of the units, port 111 among them, without any privilege."""
    need_commands("systemd-socket-activate", "setpriv")
    volume, told = tmp_path / "volume", tmp_path / "notify"
    subprocess.run([sys.executable, "-m", "nfsrpc", "mkfs", str(volume)], check=True, capture_output=True)
    (command,) = values("nfsrpc.service", "ExecStart")
    _, *options = shlex.split(command.replace("/srv/volume", str(volume)))
    environment = ["-E", f"NOTIFY_SOCKET={told}", "-E", "HOME=/nonexistent"]
    for variable in values("nfsrpc.service", "Environment"):
        environment += ["-E", variable]
    # One systemd-socket-activate makes sockets of one type only, and adds to those that it was given.
    activate = ["systemd-socket-activate", "--datagram", *listening("ListenDatagram"), "systemd-socket-activate"]
    activate += [*listening("ListenStream"), *environment]
    for made in values("nfsrpc.service", "RuntimeDirectory"):
        namespace.run("mkdir", f"/run/{made}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, open(tmp_path / "log", "w+") as log:
        manager.bind(str(told))
        manager.settimeout(60)
        server = namespace.popen(
            [*activate, *UNPRIVILEGED, sys.executable, "-m", "nfsrpc", *options], stdout=log, stderr=log
        )
        try:
            while "Listening on 0.0.0.0:2049" not in (tmp_path / "log").read_text():
                assert server.poll() is None
                select.select([], [], [], 0.02)
            first = namespace.run("rpcinfo", "-T", "udp", "127.0.0.1", "100003", "2")
            assert first.stdout == "program 100003 version 2 ready and waiting\n", first.stderr
            assert manager.recv(100) == f"READY=1\nMAINPID={server.pid}".encode()
            listed = namespace.run("rpcinfo", "-p", "127.0.0.1").stdout
            assert re.search(r"100003 +2 +tcp +2049", listed)
            stat = [sys.executable, "-m", "nfsrpc", "nfsstat", "--control", "/run/nfsrpc/2049.sock"]
            assert "NFSPROC_NULL" in namespace.run(*stat).stdout
            server.send_signal(signal.SIGHUP)
            assert manager.recv(100) == b"RELOADING=1"
            assert manager.recv(100).startswith(b"READY=1")
            server.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert server.wait(30) == 0
        finally:
            server.kill()
            server.wait(30)
