"""Programs that the tests need. One that is missing is a skip, and in CI a failure."""

import os

import pytest


def needs(name: str, what: str) -> str:
    """The value of an environment variable that names a program."""
    value = os.environ.get(name)
    if not value:
        missing(f"{what} ({name})")
    return value


def missing(what: str):
    """Ends the test."""
    if os.environ.get("CI"):
        pytest.fail(f"missing: {what}; in CI every part of the suite has to run", pytrace=False)
    pytest.skip(f"missing: {what}")
