"""Mail goes in as it does in real life: a campaign by the HTTP API, single messages by SMTP."""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from tests.demo.cast import Sender
from tests.world.cast import ROLES

CAMPAIGN = 1000
SINGLES = 20
TIMEOUT = 60.0
TEXT = """Dear {{ name }},

this is number {{ number }} of our spring issue, written for you alone.

The Gazette
"""
HTML = """<p>Dear {{ name }},</p>
<p>this is number <b>{{ number }}</b> of our spring issue, written for you alone.</p>
<p>The Gazette</p>
"""


class NotInjected(Exception):
    """The system did not take the mail; the message has its own words."""


def by_api(http: str, sender: Sender, recipients: Sequence[str]) -> None:
    """One request with a personal message for every recipient, over the bulk stream."""
    request = urllib.request.Request(
        f"http://{http}/api/v1/messages",
        data=json.dumps(
            {
                "from": f"The Gazette <news@{sender.domain}>",
                "subject": "Spring issue for {{ name }}",
                "text": TEXT,
                "html": HTML,
                "stream": "bulk",
                "campaign": "spring",
                "recipients": [
                    {"to": to, "substitutions": {"name": f"Reader {at}", "number": at}}
                    for at, to in enumerate(recipients)
                ],
            }
        ).encode(),
        headers={
            "Authorization": f"Bearer {sender.api_key}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        words = error.read().decode(errors="replace")[:500]
        raise NotInjected(f"POST /api/v1/messages: {error.code} {words}") from None
    if answer["accepted"] != len(recipients):
        raise NotInjected(f"POST /api/v1/messages accepted {answer['accepted']}: {answer}")


def by_smtp(submission: str, sender: Sender, recipients: Sequence[str]) -> None:
    """One message each over one session with STARTTLS and AUTH, over the transactional stream."""
    host, port = submission.rsplit(":", 1)
    # The demo's certificate is self-signed: encryption without verification.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with smtplib.SMTP(host, int(port), timeout=TIMEOUT) as client:
            client.starttls(context=context)
            client.login(sender.smtp_username, sender.smtp_password)
            for number, to in enumerate(recipients):
                submit(client, f"receipts@{sender.domain}", to, number)
    except smtplib.SMTPException as error:
        raise NotInjected(f"SMTP submission at {submission}: {error}") from None


def submit(client: smtplib.SMTP, sender: str, to: str, number: int) -> None:
    message = EmailMessage(SMTP if to.isascii() else SMTPUTF8)
    message["From"] = f"The Shop <{sender}>"
    message["To"] = to
    message["Subject"] = f"Receipt {number}"
    message.set_content(f"Thank you for order {number}.\n")
    options = [] if to.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
    client.sendmail(sender, [to], message.as_bytes(), mail_options=options)


def single_recipients() -> list[str]:
    """SINGLES recipients in turns over all roles, other ones than those of the campaign."""
    return [ROLES[at % len(ROLES)].address(CAMPAIGN + at) for at in range(SINGLES)]
