"""The runs of Sluice that were asked for, and their outcomes."""

from django.db import models
from django.urls import reverse


class Export(models.Model):
    """A request for a run. The job and the key say which run: requests that are sent again lead to the same one."""

    job = models.CharField(max_length=100)
    run_key = models.CharField(max_length=200)
    asked_at = models.DateTimeField(auto_now_add=True)
    # When Pub/Sub took the message. Without it, `manage.py publish_requests` sends it again.
    published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "run_key"], name="one_export_for_each_key")]

    def __str__(self):
        return f"{self.job} {self.run_key}"

    def get_absolute_url(self):
        return reverse("export", args=[self.pk])

    def runs(self):
        """The ended runs of this request, newest first: more than one after a retry."""
        return Run.objects.filter(job=self.job, run_key=self.run_key).order_by("-at")


class Run(models.Model):
    """A run that has ended, as its newest event says."""

    FINISHED = "run.finished"

    run = models.UUIDField(primary_key=True)
    job = models.CharField(max_length=200)
    run_key = models.CharField(max_length=1000, blank=True)
    event = models.CharField(max_length=50)
    rows = models.BigIntegerField()
    tables = models.JSONField()
    failure = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["job", "run_key"], name="runs_of_an_export")]

    def __str__(self):
        return f"{self.run}"

    @property
    def finished(self):
        """Whether every table is visible. Any other event means that something is missing."""
        return self.event == self.FINISHED
