"""From the click in the admin to the planner's document, and from the planner's event to the page."""

import os
from contextlib import ExitStack
from io import StringIO
from unittest import mock

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import TransactionTestCase
from django.urls import reverse
from google.cloud import pubsub_v1

from exports import requests
from exports.models import Export, Run
from sales.models import BusinessDay

from .machine import Planner, PubSub, until

JOBS = settings.BASE_DIR / "jobs"


class WithPlanner(TransactionTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # In this order, so that what was started is stopped if a later part is missing.
        with ExitStack() as started:
            cls.pubsub = PubSub()
            started.callback(cls.pubsub.stop)
            started.enter_context(mock.patch.dict(os.environ, {"PUBSUB_EMULATOR_HOST": cls.pubsub.host}))
            requests._publisher.cache_clear()
            started.callback(requests._publisher.cache_clear)
            cls.planner = Planner(cls.pubsub, settings.SLUICE["events_topic"], list(JOBS.glob("*.yaml")))
            started.callback(cls.planner.stop)
            call_command("make_topics", planner=cls.planner.url, stdout=StringIO())
            cls.addClassCleanup(started.pop_all().close)

    def setUp(self):
        self.client.force_login(User.objects.create_superuser("operator"))

    def close(self, *days):
        """What an operator does in the admin."""
        data = {"action": "close", "_selected_action": [day.pk for day in days]}
        return self.client.post(reverse("admin:sales_businessday_changelist"), data, follow=True)

    def request_of(self, run_key):
        """The one request that the planner keeps for a key."""

        def found():
            return [request for request in self.planner.requests() if request.get("run_key") == run_key]

        try:
            until(f"accept the request `{run_key}`", found)
        except AssertionError:
            self.fail(self.planner.log.read_text())
        (request,) = found()
        return request

    def test_a_closed_day_becomes_one_run_and_its_end_is_shown(self):
        day = BusinessDay.objects.create(date="2026-11-22")
        answer = self.close(day)
        self.assertContains(answer, "orders closing-2026-11-22")
        request = self.request_of("closing-2026-11-22")
        self.assertEqual(request["job"]["name"], "orders")
        run, export = request["run"], Export.objects.get()
        self.assertIsNotNone(export.published_at)
        self.assertIn(f"{self.planner.url}/runs/{run}/plan", self.planner.asked_to_plan())

        # Closed once more, and asked for by the command: still one run.
        self.close(day)
        call_command("close_day", "2026-11-22", stdout=StringIO())
        def said():
            return self.planner.log.read_text().count("a request came again") >= 2

        until("get the request again", said)
        self.assertEqual(self.request_of("closing-2026-11-22")["run"], run)
        page = self.client.get(export.get_absolute_url())
        self.assertContains(page, "No run has ended yet")

        # Cloud Tasks has it planned. Its source is not there, so the planner announces a failure.
        self.assertEqual(self.planner.plan(run), 204, self.planner.log.read_text())
        call_command("pull_events", once=True)
        ended = Run.objects.get()
        self.assertEqual((str(ended.run), ended.event, ended.rows), (run, "run.failed", 0))
        page = self.client.get(export.get_absolute_url())
        self.assertContains(page, "run.failed")
        self.assertContains(page, run)
        self.assertContains(page, ended.failure["message"])

        # Only now another run is asked for.
        self.close(day)
        again = self.request_of("closing-2026-11-22~2")
        self.assertNotEqual(again["run"], run)

    def test_what_could_not_be_sent_is_sent_later(self):
        day = BusinessDay.objects.create(date="2026-11-23")
        nowhere = {**settings.SLUICE, "requests_topic": "projects/demo/topics/none"}
        with self.settings(SLUICE=nowhere), self.assertLogs("django.db.backends.base", "ERROR"):
            answer = self.close(day)
        # The day is closed all the same.
        self.assertEqual(answer.status_code, 200)
        day.refresh_from_db()
        self.assertIsNotNone(day.closed_at)
        export = Export.objects.get()
        self.assertIsNone(export.published_at)
        self.assertContains(self.client.get(export.get_absolute_url()), "not sent yet")

        call_command("publish_requests", stdout=StringIO())
        self.request_of("closing-2026-11-23")
        export.refresh_from_db()
        self.assertIsNotNone(export.published_at)

    def test_an_event_that_cannot_be_read_stays_for_the_dead_letters(self):
        publisher = pubsub_v1.PublisherClient()
        publisher.publish(settings.SLUICE["events_topic"], b"{}").result(timeout=30)
        with self.assertLogs("exports", "ERROR"):
            call_command("pull_events", once=True)
        self.assertEqual(Run.objects.count(), 0)
        # It was not acknowledged: it comes again.
        with self.assertLogs("exports", "ERROR"):
            call_command("pull_events", once=True)
        subscription = settings.SLUICE["events_subscription"]
        with pubsub_v1.SubscriberClient() as subscriber:
            received = subscriber.pull(subscription=subscription, max_messages=1, timeout=30).received_messages
            subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
