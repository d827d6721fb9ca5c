"""The events that Sluice publishes when a run ends. Each may come more than once, and in any order."""

import json
from datetime import datetime
from uuid import UUID

from .models import Run


class Unreadable(Exception):
    """The data is not an event of a version that is known here."""


def record(data: bytes) -> None:
    """Keeps an event, unless a newer one of its run is known: a run that is loaded again ends once more."""
    fields = _read(data)
    run = fields.pop("run")
    _, new = Run.objects.get_or_create(run=run, defaults=fields)
    if not new:
        Run.objects.filter(run=run, at__lt=fields["at"]).update(**fields)


def _read(data: bytes) -> dict:
    try:
        event = json.loads(data)
        if event["version"] != 1:
            raise Unreadable(f"an event of version {event['version']}")
        return {
            "run": UUID(event["run"]),
            "job": event["job"],
            "run_key": event.get("run_key") or "",
            "event": event["event"],
            "rows": int(event["rows"]),
            "tables": event["tables"],
            "failure": event.get("failure"),
            "at": datetime.fromisoformat(event["at"]),
        }
    except (KeyError, TypeError, ValueError) as wrong:
        raise Unreadable("not an event of Sluice") from wrong
