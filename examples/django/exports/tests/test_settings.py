"""The settings that are not those of the tests."""

import os
import subprocess
import sys
from unittest import TestCase

from django.conf import settings


class Deployed(TestCase):
    def test_django_has_nothing_against_them(self):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "DJANGO_SECRET_KEY": "".join(f"{byte:02x}" for byte in os.urandom(40)),
            "DJANGO_ALLOWED_HOSTS": "shop.example",
        }
        check = [sys.executable, settings.BASE_DIR / "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
        ended = subprocess.run(check, env=environment, capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
