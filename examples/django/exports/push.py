"""Who calls: only the service account of our push subscription may."""

from django.conf import settings
from google.auth import exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token

ISSUERS = {"https://accounts.google.com", "accounts.google.com"}


def is_ours(authorization: str) -> bool:
    """Whether the header has a token that Google signed, for us, of our push subscription's account.

    <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>
    """
    audience, account = settings.SLUICE["push_audience"], settings.SLUICE["push_account"]
    kind, _, token = authorization.partition(" ")
    # Without an audience, a token that Google made for any other service would do.
    if not audience or not account or kind.lower() != "bearer":
        return False
    try:
        # Fetches Google's keys each time: a few events a day need no cache.
        claims = id_token.verify_token(token, Request(), audience, settings.SLUICE["keys_url"])
    except exceptions.TransportError:
        # Google's keys could not be fetched. Not the caller's fault: Pub/Sub delivers the message again.
        raise
    except (exceptions.GoogleAuthError, ValueError):
        return False
    return claims.get("iss") in ISSUERS and claims.get("email") == account and claims.get("email_verified") is True
