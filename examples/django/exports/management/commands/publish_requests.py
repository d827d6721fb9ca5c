from django.core.management.base import BaseCommand

from exports import requests
from exports.models import Export


class Command(BaseCommand):
    help = "Sends the messages that could not be sent when they were asked for. Have it run every few minutes."

    def handle(self, **options):
        for export in Export.objects.filter(published_at=None).order_by("asked_at"):
            requests.publish(export)
            self.stdout.write(f"{export} is asked for")
