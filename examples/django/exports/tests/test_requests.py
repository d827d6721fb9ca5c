"""When a message is sent, and when not."""

import json
from unittest import mock

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from exports import requests
from exports.models import Export, Run
from sales import closing
from sales.models import BusinessDay


def ended(export, event, at):
    return Run.objects.create(
        run=f"01a20522-5b43-707b-9179-{Run.objects.count():012}",
        job=export.job,
        run_key=export.run_key,
        event=event,
        rows=0,
        tables=[],
        at=at,
    )


class Sending(TransactionTestCase):
    def setUp(self):
        self.publisher = self.enterContext(mock.patch.object(requests, "_publisher")).return_value
        self.day = BusinessDay.objects.create(date="2026-11-22")

    def test_nothing_is_sent_before_the_commit(self):
        with transaction.atomic():
            closing.close(self.day)
            self.publisher.publish.assert_not_called()
        (_, data), attributes = self.publisher.publish.call_args
        self.assertEqual(json.loads(data), {"job": "orders"})
        self.assertEqual(attributes, {"run_key": "closing-2026-11-22"})

    def test_nothing_is_sent_for_what_is_loaded(self):
        closing.close(self.day)
        ended(Export.objects.get(), Run.FINISHED, "2026-11-22T21:00:00Z")
        self.publisher.publish.reset_mock()
        closing.close(self.day)
        self.publisher.publish.assert_not_called()

    def test_nothing_is_sent_for_what_is_rolled_back(self):
        with self.assertRaises(RuntimeError), transaction.atomic():
            closing.close(self.day)
            raise RuntimeError
        self.publisher.publish.assert_not_called()
        self.assertEqual(Export.objects.count(), 0)


class Keys(TestCase):
    def ask(self):
        return requests.ask("orders", "closing")

    def test_a_key_is_kept_until_its_newest_run_has_failed(self):
        first = self.ask()
        self.assertEqual(self.ask(), first)
        ended(first, "run.failed", "2026-11-22T21:00:00Z")
        second = self.ask()
        self.assertEqual((second.run_key, self.ask()), ("closing~2", second))
        # The failed run was loaded again meanwhile.
        ended(first, Run.FINISHED, "2026-11-22T22:00:00Z")
        self.assertEqual(self.ask(), first)

    def test_what_is_half_visible_is_asked_for_again(self):
        first = self.ask()
        ended(first, "run.half_visible", "2026-11-22T21:00:00Z")
        self.assertNotEqual(self.ask(), first)

    def test_a_key_of_a_later_attempt_is_nobodys_own(self):
        with self.assertRaises(ValueError):
            requests.ask("orders", "closing~2")

    def test_two_jobs_may_have_the_same_key(self):
        self.assertNotEqual(self.ask(), requests.ask("customers", "closing"))
