"""What pytest loads wherever this package is installed: nothing but a look whether the suite has been asked for.

``--pyargs`` brings no conftest.py early enough for its options, so that the plugin is loaded from here.
"""

import pytest

_NAMES = ("nfsrpc.conformance", "nfsrpc/conformance")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Load the suite's options and fixtures if one of the arguments names it."""
    if any(name in argument for argument in args for name in _NAMES):
        early_config.pluginmanager.import_plugin("nfsrpc.conformance.plugin")
