"""Who may push an event: tokens that are really signed, by keys that this test serves as Google does."""

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.test import TestCase
from google.auth import crypt, jwt

from exports.models import Run

from .test_events import event

AUDIENCE, ACCOUNT = "https://shop.example/events/", "pusher@demo.iam.gserviceaccount.com"


class Key:
    """A key, and the certificate for it."""

    def __init__(self):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name, now = x509.Name([]), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        ).sign(self._key, hashes.SHA256())
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def token(self, **changed) -> str:
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        claims = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": int(time.time()) - 60,
            "exp": int(time.time()) + 600,
            **changed,
        }
        return jwt.encode(crypt.RSASigner.from_string(pem, "1"), claims).decode()


class Pushing(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = Key()
        keys = json.dumps({"1": cls.key.certificate}).encode()

        class Google(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(keys)))
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Google)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.sluice = {
            **settings.SLUICE,
            "push_audience": AUDIENCE,
            "push_account": ACCOUNT,
            "keys_url": f"http://127.0.0.1:{server.server_port}/",
        }
        cls.enterClassContext(mock.patch.dict("os.environ", {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}))

    def push(self, data=None, token=None, **changed):
        data = event() if data is None else data
        envelope = {"message": {"data": base64.b64encode(data).decode(), "messageId": "1"}, "subscription": "s"}
        headers = {"authorization": f"Bearer {token or self.key.token(**changed)}"}
        with self.settings(SLUICE=self.sluice):
            return self.client.post("/events/", envelope, content_type="application/json", headers=headers).status_code

    def test_an_event_of_our_subscription_is_recorded_once(self):
        self.assertEqual([self.push(), self.push()], [204, 204])
        self.assertEqual(Run.objects.count(), 1)

    def test_anybody_else_is_refused(self):
        now = int(time.time())
        refused = {
            "another service": {"aud": "https://other.example/"},
            "another account": {"email": "stranger@demo.iam.gserviceaccount.com"},
            "an account that nobody verified": {"email_verified": False},
            "another issuer": {"iss": "https://issuer.example"},
            "an old token": {"iat": now - 7200, "exp": now - 3600},
            "another key": {"token": Key().token()},
            "no token at all": {"token": "x"},
        }
        for what, changed in refused.items():
            with self.subTest(what):
                self.assertEqual(self.push(**changed), 403)
        self.assertEqual(self.client.post("/events/").status_code, 403)
        self.assertEqual(Run.objects.count(), 0)

    def test_without_settings_every_call_is_refused(self):
        for setting, claim in [("push_audience", "aud"), ("push_account", "email")]:
            sluice = {**self.sluice, setting: ""}
            with self.subTest(setting), mock.patch.object(type(self), "sluice", sluice):
                self.assertEqual(self.push(**{claim: ""}), 403)

    def test_what_cannot_be_read_is_delivered_again(self):
        with self.assertLogs("exports", "ERROR"):
            self.assertEqual(self.push(b"{}"), 400)

    def test_only_a_post_is_answered(self):
        self.assertEqual(self.client.get("/events/").status_code, 405)
