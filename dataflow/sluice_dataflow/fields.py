"""The keys of a JSON document's objects: each is there, of its type, and known."""

import re
from typing import Any

from sluice_dataflow.failure import Failure

URL = re.compile(r"(gs://[^/]+/|file:///).+")
NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
HINT = "the order is written by Sluice's loader: both have to be of one version"
WORDS = {str: "text", int: "an integer", bool: "true or false", dict: "an object", list: "a list"}
_REQUIRED = object()


class Fields:
    """The keys of an object, each of which is taken once."""

    def __init__(self, document: Any, path: str):
        if not isinstance(document, dict):
            raise Failure(f"`{path}` has to be an object" if path else "the document has to be an object", HINT)
        self._left, self._path = dict(document), path

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def take(self, key: str, kind: type, default: Any = _REQUIRED) -> Any:
        """A value of any type that JSON has."""
        value = self._left.pop(key, _REQUIRED)
        if value is _REQUIRED or (value is None and default is None):
            if default is _REQUIRED:
                raise Failure(f"`{self._at(key)}` is missing", HINT)
            return default
        # True is an integer in Python.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Failure(f"`{self._at(key)}` has to be {WORDS[kind]}", HINT)
        return value

    def integer(self, key: str) -> int:
        """A number of things, which is 0 or more."""
        value = self.take(key, int)
        if value < 0:
            raise Failure(f"`{self._at(key)}` has to be 0 or more", HINT)
        return value

    def text(self, key: str, default: Any = _REQUIRED, empty: bool = False) -> str:
        """A text."""
        value = self.take(key, str, default)
        if not value and not empty:
            raise Failure(f"`{self._at(key)}` is empty", HINT)
        return value

    def name(self, key: str) -> str:
        """A text that can be part of the name of a job."""
        value = self.text(key)
        if not NAME.fullmatch(value):
            raise Failure(f"`{self._at(key)}` has to be letters, digits, `-` and `_`", HINT)
        return value

    def items(self, key: str, default: Any = _REQUIRED) -> list:
        """A list of anything."""
        return self.take(key, list, default)

    def url(self, key: str) -> str:
        """The URL of an object."""
        value = self.text(key)
        if not URL.fullmatch(value):
            raise Failure(f"`{self._at(key)}` has to be a URL of `gs://` or `file:///`", HINT)
        return value

    def urls(self, key: str, default: Any = _REQUIRED) -> list[str]:
        """A list of URLs of objects."""
        values = self.items(key, default)
        for at, value in enumerate(values):
            if not isinstance(value, str) or not URL.fullmatch(value):
                raise Failure(f"`{self._at(key)}[{at}]` has to be a URL of `gs://` or `file:///`", HINT)
        return values

    def end(self):
        """Checks that nothing is left."""
        if self._left:
            unknown = ", ".join(f"`{self._at(key)}`" for key in sorted(self._left))
            raise Failure(f"{unknown} is not known", HINT)
