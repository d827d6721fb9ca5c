"""Settings for work on one machine: SQLite, and the emulator of Pub/Sub."""

import os

os.environ.setdefault("DJANGO_SECRET_KEY", "only for this machine")
os.environ.setdefault("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")
os.environ.setdefault("SLUICE_REQUESTS_TOPIC", "projects/demo/topics/sluice-requests")
os.environ.setdefault("SLUICE_EVENTS_TOPIC", "projects/demo/topics/sluice-events")
os.environ.setdefault("SLUICE_EVENTS_SUBSCRIPTION", "projects/demo/subscriptions/django-events")

from .settings import *  # noqa: E402, F403
from .settings import BASE_DIR, SLUICE  # noqa: E402

DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT = False
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DJANGO_DATABASE", BASE_DIR / "local.sqlite3")}}
SLUICE = {**SLUICE, "events_topic": os.environ["SLUICE_EVENTS_TOPIC"]}
