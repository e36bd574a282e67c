"""`python -m nfsrpc`."""

from nfsrpc.cli import main

main(prog_name="nfsrpc")
