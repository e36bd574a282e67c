"""An authority, and hosts that it vouches for, made by openssl(1)."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificates(place: Path) -> Path:
    """In `place`: ca, a server (localhost) and a client that it signed, and a stranger; each NAME.pem and NAME.key."""
    if shutil.which("openssl") is None:
        pytest.skip("not on this machine: openssl")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=place, check=True, capture_output=True, timeout=60)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name in ("server", "client"):
        (place / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}.example")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem", "-days", "9")  # fmt: skip
    return place
