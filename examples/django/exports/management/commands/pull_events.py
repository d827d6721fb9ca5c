import logging

from django.conf import settings
from django.core.management.base import BaseCommand
from google.api_core import exceptions
from google.cloud import pubsub_v1

from exports import events

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Fetches events, where Pub/Sub cannot call `/events/`: on a developer's machine, behind a firewall."

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="end when there are no more events")

    def handle(self, *, once, **options):
        with pubsub_v1.SubscriberClient() as subscriber:
            while self._fetch(subscriber) or not once:
                pass

    def _fetch(self, subscriber) -> int:
        """Records the events that are there. Returns how many messages came."""
        subscription = settings.SLUICE["events_subscription"]
        try:
            answer = subscriber.pull(subscription=subscription, max_messages=100, timeout=5)
        except exceptions.DeadlineExceeded:
            return 0
        done, refused = [], []
        for received in answer.received_messages:
            try:
                events.record(received.message.data)
                done.append(received.ack_id)
            except events.Unreadable as wrong:
                log.error("cannot read an event: %s", wrong)
                refused.append(received.ack_id)
        if done:
            subscriber.acknowledge(subscription=subscription, ack_ids=done)
        if refused:
            # As a refused push: after some times the subscription's dead-letter topic takes them.
            subscriber.modify_ack_deadline(subscription=subscription, ack_ids=refused, ack_deadline_seconds=0)
        return len(done)
