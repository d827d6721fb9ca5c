"""Objects, by their URL: `gs://bucket/name`, or `file:///path` on this machine.

Beam's own file systems know no `file://` and cannot create an object only where there is none, so Google's client is
used directly. It takes `STORAGE_EMULATOR_HOST` as its address where that is set.
"""

import pathlib
import threading
from typing import BinaryIO

from google.api_core import exceptions
from google.cloud import storage

from sluice_dataflow.failure import Failure

# Bytes that a reader fetches at a time, and a writer sends.
CHUNK = 16 << 20

_threads = threading.local()


def _client() -> storage.Client:
    """One client a thread: it keeps its connections, which threads cannot share, and its token."""
    if not hasattr(_threads, "client"):
        _threads.client = storage.Client()
    return _threads.client


def _blob(url: str) -> storage.Blob:
    bucket, _, name = url.removeprefix("gs://").partition("/")
    return _client().bucket(bucket).blob(name, chunk_size=CHUNK)


def _path(url: str) -> pathlib.Path | None:
    return pathlib.Path(url.removeprefix("file://")) if url.startswith("file://") else None


def missing(url: str) -> Failure:
    """What is said of an object that does not exist."""
    return Failure(f"read `{url}`: there is no such object", "a run's objects are deleted some days after it")


def read(url: str) -> bytes:
    """All bytes of an object."""
    path = _path(url)
    try:
        return path.read_bytes() if path else _blob(url).download_as_bytes()
    except (FileNotFoundError, exceptions.NotFound):
        raise missing(url) from None


def exists(url: str) -> bool:
    """Whether there is an object."""
    path = _path(url)
    return path.exists() if path else _blob(url).exists()


def reader(url: str) -> BinaryIO:
    """An object that is read at any place. It holds no more than one chunk."""
    path = _path(url)
    try:
        if path:
            return path.open("rb")
        blob = _blob(url)
        # The generation is fixed here, so that all chunks are of one object.
        blob.reload()
        return blob.bucket.blob(blob.name, generation=blob.generation).open("rb", chunk_size=CHUNK)
    except (FileNotFoundError, exceptions.NotFound):
        raise missing(url) from None


def writer(url: str) -> BinaryIO:
    """A new object that is written from its beginning. It exists when it is closed."""
    path = _path(url)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    return _blob(url).open("wb", if_generation_match=0, ignore_flush=True)


def create(url: str, content: bytes) -> bool:
    """Creates an object with this content. Returns whether there was none before."""
    path = _path(url)
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        else:
            _blob(url).upload_from_string(content, content_type="application/json", if_generation_match=0)
    except (FileExistsError, exceptions.PreconditionFailed):
        return False
    return True
