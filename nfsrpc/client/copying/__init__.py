"""Copies of files and trees, to and from servers and between them. `copy` does one; how is said in `job`."""

from .ends import End, LocalEnd, RemoteEnd, copy
from .job import Options
from .report import Report, Silent

__all__ = ["End", "LocalEnd", "Options", "RemoteEnd", "Report", "Silent", "copy"]
