"""`python -m tests.bench.injector URL COUNT TAG`: a client that hands in a campaign by the API.

The API key comes in the environment variable API_KEY. Requests are made ready before "ready" is
printed; the first line of standard input starts them, over CLIENTS connections that stay open.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.bench.sink import DOMAIN

BATCH = 1000
CLIENTS = 2
SUBJECT = "{{ name }}, the spring issue is here"
LINE = "This is a line of the spring issue, and it is as long as most.\n"
TEXT = "Dear {{ name }},\n\nyou are reader {{ number }}.\n\n" + LINE * 12 + "\nThe Gazette\n"
HTML = (
    "<p>Dear {{ name }},</p>\n<p>you are reader <b>{{ number }}</b>.</p>\n"
    + f"<p>{LINE.strip()}</p>\n" * 12
    + "<p>The Gazette</p>\n"
)


def body(first: int, count: int, tag: str) -> bytes:
    """One request for the readers `first`...`first + count - 1`."""
    return json.dumps(
        {
            "from": "The Gazette <news@acme.test>",
            "subject": SUBJECT,
            "text": TEXT,
            "html": HTML,
            "stream": "bulk",
            "campaign": "spring",
            "recipients": [
                {
                    "to": f"{number}{tag}@{DOMAIN}",
                    "substitutions": {"name": f"Reader {number}", "number": number},
                }
                for number in range(first, first + count)
            ],
        }
    ).encode()


def send(address: str, key: str, bodies: list[bytes]) -> None:
    """All requests over one connection; SystemExit with the server's words when one is refused."""
    connection = http.client.HTTPConnection(address, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for one in bodies:
        connection.request("POST", "/api/v1/messages", one, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise SystemExit(f"POST messages: {response.status} {answer[:500]!r}")
    connection.close()


def main() -> None:
    url, count, tag = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    bodies = [
        body(first, min(BATCH, count + 1 - first), tag) for first in range(1, count + 1, BATCH)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(CLIENTS) as clients:
        address, key = urlsplit(url).netloc, os.environ["API_KEY"]
        list(clients.map(lambda at: send(address, key, bodies[at::CLIENTS]), range(CLIENTS)))


if __name__ == "__main__":
    main()
