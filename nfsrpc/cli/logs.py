"""How the commands log: lines for people, or JSON for programs."""

import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; anything else was added by who made it."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, pid, message, and the record's own fields (xid, peer...)."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        import json

        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def set_up(verbose: int, form: str) -> None:
    """Log to stderr, the more the more `verbose` is (0: warnings, 1: information, 2: all), as "text" or "json"."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter("nfsrpc: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
