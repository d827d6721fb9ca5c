"""The URL of a source, with its secrets filled in.

An order holds no secret: `${NAME}` stands for the environment variable of the worker, or for the version of a secret in
Secret Manager, where the name is that of one.
"""

import os
import re

from sluice_dataflow.failure import Failure

PLACE = re.compile(r"\$\{([^}]*)\}")
SECRET = re.compile(r"projects/[^/]+/secrets/[^/]+/versions/[^/]+")


def filled(url: str) -> str:
    """The URL with a value for each place. It is for the driver alone: no message may contain it."""
    return PLACE.sub(lambda place: _value(place[1]), url)


def _value(name: str) -> str:
    if SECRET.fullmatch(name):
        return _secret(name)
    value = os.environ.get(name)
    if value is None:
        raise Failure(
            f"read the source's URL: the environment of the worker has no variable `{name}`",
            "name a version of a secret instead: `${projects/PROJECT/secrets/NAME/versions/latest}`",
        )
    return value


def _secret(name: str) -> str:
    """The text of a secret. The client is part of the image, and of no installation that reads parts alone."""
    from google.api_core import exceptions
    from google.cloud import secretmanager

    try:
        return secretmanager.SecretManagerServiceClient().access_secret_version(name=name).payload.data.decode()
    except exceptions.GoogleAPICallError as error:
        raise Failure(
            f"read secret `{name}`: Secret Manager answers `{error.grpc_status_code or error.code}`",
            "the workers' service account needs `roles/secretmanager.secretAccessor` on the secret",
        ) from None
