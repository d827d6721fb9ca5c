"""Events: repeated, in the wrong order, and such as nobody can read."""

import json
from pathlib import Path

from django.contrib.auth.models import User
from django.test import TestCase

from exports import events
from exports.models import Export, Run

# An event that a planner or loader of version 1 wrote. Sluice's own tests hold it fixed.
RECORDED = Path(__file__).parents[4] / "tests" / "fixtures" / "event-v1.json"


def event(**changed) -> bytes:
    return json.dumps({**json.loads(RECORDED.read_text()), **changed}).encode()


class Recording(TestCase):
    def test_a_recorded_event_is_read(self):
        events.record(RECORDED.read_bytes())
        run = Run.objects.get()
        self.assertEqual((run.job, run.run_key, run.rows), ("orders", "nightly/2026-11-22", 10))
        self.assertEqual(run.at.isoformat(), "2026-11-22T21:21:07.427996+00:00")
        self.assertFalse(run.finished)

    def test_a_repeated_event_changes_nothing(self):
        for _ in range(3):
            events.record(event())
        self.assertEqual(Run.objects.count(), 1)

    def test_the_newest_event_of_a_run_counts_in_any_order(self):
        failed = event(event="run.failed", rows=0, at="2026-11-22T21:00:00Z")
        finished = event(event="run.finished", failure=None, rows=7, at="2026-11-22T21:00:00.000001001Z")
        for order in ([failed, finished], [finished, failed], [failed, finished, failed]):
            Run.objects.all().delete()
            for one in order:
                events.record(one)
            run = Run.objects.get()
            self.assertEqual((run.event, run.rows, run.failure), ("run.finished", 7, None))

    def test_what_is_no_event_is_refused(self):
        broken = [b"", b"{", b"[]", b"{}", b'"event"', event(run="7"), event(at="noon"), event(version=2), event(rows="x")]
        for data in broken:
            with self.subTest(data=data), self.assertRaises(events.Unreadable):
                events.record(data)
        self.assertEqual(Run.objects.count(), 0)


class Showing(TestCase):
    def setUp(self):
        self.client.force_login(User.objects.create_superuser("operator"))
        self.export = Export.objects.create(job="orders", run_key="nightly/2026-11-22")

    def page(self):
        return self.client.get(self.export.get_absolute_url())

    def test_every_outcome_of_a_table_is_shown(self):
        failure = {"kind": "denied", "message": "permission denied for table notes", "hint": "grant SELECT"}
        later = "01a20522-5b43-707b-9179-5f307c4d6779"
        tables = [
            {"table": "public.orders", "target": "bigquery://shop/sales/orders", "rows": 7, "invalid": {"amount": 12}},
            {"table": "public.notes", "target": "bigquery://shop/sales/notes", "rows": 0, "failure": failure},
            {"table": "public.days", "target": "bigquery://shop/sales/days", "rows": 0, "overtaken_by": later},
        ]
        events.record(event(event="run.half_visible", tables=tables, failure=failure))
        page = self.page()
        for text in ["run.half_visible", "12 values of amount became NULL", "permission denied", "grant SELECT", later]:
            self.assertContains(page, text)

    def test_a_run_of_another_key_is_not_shown(self):
        events.record(event(run_key="nightly/2026-11-23"))
        self.assertContains(self.page(), "No run has ended yet")

    def test_a_stranger_sees_nothing(self):
        self.client.logout()
        self.assertEqual(self.page().status_code, 302)
