"""The command `nfsrpc`, and `python -m nfsrpc`."""

import gc


def run() -> None:
    """Run the command on this process's arguments."""
    # Nothing of what is loaded is garbage, and looking for some takes its time; `nfsrpc.cli` ends this.
    gc.disable()
    from nfsrpc.cli import main

    main(prog_name="nfsrpc")


if __name__ == "__main__":
    run()
