import base64
import json
import logging

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from . import events, push
from .models import Export

log = logging.getLogger(__name__)


@require_GET
@staff_member_required
def export(request, pk):
    """What became of an export."""
    found = get_object_or_404(Export, pk=pk)
    return render(request, "exports/export.html", {"export": found, "runs": found.runs()})


@csrf_exempt  # The caller has no cookie, but a token.
@require_POST
def receive(request):
    """Takes an event from the push subscription. Pub/Sub delivers again what is not answered with success."""
    if not push.is_ours(request.headers.get("Authorization", "")):
        return HttpResponse(status=403)
    try:
        envelope = json.loads(request.body)
        events.record(base64.b64decode(envelope["message"]["data"], validate=True))
    except (events.Unreadable, KeyError, TypeError, ValueError) as wrong:
        # Delivered again until the subscription's dead-letter topic takes it, where somebody can look at it.
        log.error("cannot read an event: %s", wrong)
        return HttpResponse(status=400)
    return HttpResponse(status=204)
