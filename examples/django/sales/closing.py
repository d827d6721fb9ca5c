"""Closing a day: from then on its orders are exported."""

from django.db import transaction
from django.utils import timezone

from exports import requests
from exports.models import Export

from .models import BusinessDay

# The job file `orders.yaml` of the planner.
JOB = "orders"


@transaction.atomic
def close(day: BusinessDay) -> Export:
    """Closes the day and asks for a run. Called again, it asks for the same run, unless that run failed."""
    day = BusinessDay.objects.select_for_update().get(pk=day.pk)
    if day.closed_at is None:
        day.closed_at = timezone.now()
        day.save()
    return requests.ask(JOB, f"closing-{day.date}")
