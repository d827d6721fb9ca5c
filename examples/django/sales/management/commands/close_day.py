from datetime import date

from django.core.management.base import BaseCommand

from sales import closing
from sales.models import BusinessDay


class Command(BaseCommand):
    help = "Closes a day, and exports the orders."

    def add_arguments(self, parser):
        parser.add_argument("date", type=date.fromisoformat, help="as 2026-11-22")

    def handle(self, *, date, **options):
        day, _ = BusinessDay.objects.get_or_create(date=date)
        self.stdout.write(f"{closing.close(day)} is asked for")
