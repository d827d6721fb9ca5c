"""Settings, as the environment gives them. For work on one machine, see `settings_local.py`."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "").split(",")
# Cloud Run, like any proxy of Google's, sets this header itself.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
# HSTS concerns the whole domain: it is decided there, and not by this program.
SILENCED_SYSTEM_CHECKS = ["security.W004"]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if host]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "exports",
    "sales",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
LOGIN_URL = "admin:login"
STATIC_URL = "static/"

# Sluice reads the same database: `SOURCE_URL` of its planner and its job.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST"),
        "NAME": os.environ.get("PGDATABASE"),
        "USER": os.environ.get("PGUSER"),
        "PASSWORD": os.environ.get("PGPASSWORD"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

SLUICE = {
    # The topic whose push subscription calls the planner's `POST /pubsub`: `projects/P/topics/T`.
    "requests_topic": os.environ.get("SLUICE_REQUESTS_TOPIC", ""),
    # The push subscription of the topic of events calls `/events/` here, with a token for this audience, as this
    # service account. Without both, every call is refused.
    "push_audience": os.environ.get("SLUICE_PUSH_AUDIENCE", ""),
    "push_account": os.environ.get("SLUICE_PUSH_ACCOUNT", ""),
    # Where the keys are that Google signs tokens with.
    "keys_url": "https://www.googleapis.com/oauth2/v1/certs",
    # Only for `manage.py pull_events`, in place of push: `projects/P/subscriptions/S`.
    "events_subscription": os.environ.get("SLUICE_EVENTS_SUBSCRIPTION", ""),
}
