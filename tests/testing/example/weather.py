"""The code under test: a thermometer that is an RPC program, and a log of its readings on an NFS server."""

import subprocess

from thermometer import THERMOMETER_1_client, THERMOMETER_1_service


class Thermometer(THERMOMETER_1_service):
    def __init__(self):
        self.asked = []

    def READ(self, room, call):
        self.asked.append(room)
        return 21_500


def reading(client, room):
    """Degrees in a room."""
    return THERMOMETER_1_client(client).READ(room) / 1000


def publish(url, text):
    """Put the latest reading where everybody can read it."""
    subprocess.run(["nfsrpc", "put", "-", url], input=text.encode(), check=True)


def published(url):
    return subprocess.run(["nfsrpc", "get", url, "-"], check=True, capture_output=True).stdout.decode()


def record(files, text):
    """Add a reading to the log; `files` is what `nfsrpc.client.mount` returns."""
    with files.open("log", "a") as log:
        log.write(text + "\n")
