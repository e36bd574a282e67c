"""What a unit holds in memory, with a way back for the step that fails."""

from typing import Any, Final, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

_ABSENT: Final[Any] = object()


class Journal:
    """Changes of dictionaries, recorded while a step runs, so that they can be taken back with its SQL."""

    def __init__(self) -> None:
        self._recording = False
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []

    def start(self) -> None:
        """From here on, record."""
        self._recording = True

    def stop(self) -> None:
        """What was recorded stays as it is."""
        self._recording = False
        self._before.clear()

    def undo(self) -> None:
        """Put everything back as it was at `start`, and stop."""
        while self._before:
            mapping, key, value = self._before.pop()
            if value is _ABSENT:
                mapping.pop(key, None)
            else:
                mapping[key] = value
        self.stop()

    def set(self, mapping: dict[_K, _V], key: _K, value: _V) -> None:
        """`mapping[key] = value`."""
        if self._recording:
            self._before.append((mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value

    def clear(self, mapping: dict[_K, _V]) -> None:
        """`mapping.clear()`."""
        if self._recording:
            self._before.extend((mapping, key, value) for key, value in mapping.items())
        mapping.clear()

    def drop(self, mapping: dict[_K, _V], key: _K) -> None:
        """`mapping.pop(key, None)`."""
        if self._recording:
            self._before.append((mapping, key, mapping.get(key, _ABSENT)))
        mapping.pop(key, None)
