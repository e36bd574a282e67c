"""The example project is another project: its tests are run by `test_plugin.py`, in a pytest of their own."""

collect_ignore = ["example"]
