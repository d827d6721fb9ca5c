from django.conf import settings
from django.core.management.base import BaseCommand
from google.api_core.exceptions import AlreadyExists
from google.cloud import pubsub_v1


class Command(BaseCommand):
    help = "Makes the topics and subscriptions in the emulator. In the cloud, Terraform makes them."

    def add_arguments(self, parser):
        parser.add_argument("--planner", default="http://127.0.0.1:8080", help="the planner's URL")

    def handle(self, *, planner, **options):
        names = settings.SLUICE
        project = names["requests_topic"].rsplit("/topics/", 1)[0]
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        for topic in [names["requests_topic"], names["events_topic"]]:
            self._make(publisher.create_topic, name=topic)
        self._make(
            subscriber.create_subscription,
            name=f"{project}/subscriptions/sluice-planner",
            topic=names["requests_topic"],
            push_config={"push_endpoint": f"{planner.rstrip('/')}/pubsub"},
        )
        self._make(
            subscriber.create_subscription, name=names["events_subscription"], topic=names["events_topic"]
        )

    def _make(self, create, **settings):
        try:
            create(request=settings)
            self.stdout.write(f"made {settings['name']}")
        except AlreadyExists:
            pass
