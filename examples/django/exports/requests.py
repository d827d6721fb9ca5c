"""Asking Sluice for a run, by a message that the planner gets."""

import functools
import json

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from google.cloud import pubsub_v1

from .models import Export

# How long a web request waits for Pub/Sub.
PATIENCE = 10
# What stands between a key and the number of a later attempt.
RETRY = "~"


def ask(job: str, run_key: str) -> Export:
    """Asks for a run of `job`, as soon as the transaction is committed: the run then sees what it wrote.

    If the key's newest run has failed, a run under the next key is asked for: a message cannot ask for a retry,
    because it may be delivered again at any time. Nothing is asked for if the newest run is loaded.
    """
    if RETRY in run_key:
        raise ValueError(f"a run key may not hold `{RETRY}`, which the keys of later attempts have")
    with transaction.atomic():
        export = _current(job, run_key)
        # The planner forgets its requests some time after the run, and a message would start another one.
        if not export.runs().exists():
            # An error must not undo what is committed: it is logged, and the export has no `published_at`.
            transaction.on_commit(lambda: publish(export), robust=True)
    return export


def publish(export: Export) -> None:
    """Sends the message. The planner starts one run for a key, however often it gets the message."""
    data = json.dumps({"job": export.job}).encode()
    sent = _publisher().publish(settings.SLUICE["requests_topic"], data, run_key=export.run_key)
    sent.result(timeout=PATIENCE)
    Export.objects.filter(pk=export.pk).update(published_at=timezone.now())


def _current(job: str, run_key: str) -> Export:
    key, attempt = run_key, 1
    while True:
        export, _ = Export.objects.get_or_create(job=job, run_key=key)
        newest = export.runs().first()
        if newest is None or newest.finished:
            return export
        attempt += 1
        key = f"{run_key}{RETRY}{attempt}"


@functools.cache
def _publisher() -> pubsub_v1.PublisherClient:
    # Made at the first message and not when this file is imported: its threads do not survive the fork of a server
    # such as gunicorn.
    return pubsub_v1.PublisherClient()
