"""`python -m tests.bench.injector URL`: a client that hands in a campaign by the API.

The API key comes in the environment variable API_KEY. Requests are made ready before "ready" is
printed (with --lazy one by one as they are sent, for more than memory should hold); the first
line of standard input starts them, over connections that stay open.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from tests.bench.crowd import Crowd
from tests.bench.progress import Progress

BATCH = 1000
SUBJECT = "{{ name }}, the spring issue is here"
LINE = "This is a line of the spring issue, and it is as long as most.\n"
TEXT = "Dear {{ name }},\n\nyou are reader {{ number }}.\n\n" + LINE * 12 + "\nThe Gazette\n"
HTML = (
    "<p>Dear {{ name }},</p>\n<p>you are reader <b>{{ number }}</b>.</p>\n"
    + f"<p>{LINE.strip()}</p>\n" * 12
    + "<p>The Gazette</p>\n"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.injector")
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--spread", type=int, default=0)
    parser.add_argument("--sender", default="acme.test")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--in-days", type=int, default=0, help="send_at, from now")
    parser.add_argument("--engaged", type=int, default=0, help="one reader in so many is engaged")
    parser.add_argument("--lazy", action="store_true")
    return parser.parse_args()


def body(crowd: Crowd, first: int, *, sender: str, send_at: str = "", engaged: int = 0) -> bytes:
    """One request for BATCH readers from number `first` on; one in `engaged` is engaged."""
    readers = range(first, min(first + BATCH, crowd.count + 1))
    message = {
        "from": f"The Gazette <news@{sender}>",
        "subject": SUBJECT,
        "text": TEXT,
        "html": HTML,
        "stream": "bulk",
        "campaign": "spring",
        "recipients": [
            {
                "to": crowd.address(number),
                "substitutions": {"name": f"Reader {number}", "number": number},
                **({"engaged": True} if engaged and number % engaged == 0 else {}),
            }
            for number in readers
        ],
    }
    return json.dumps(message | ({"send_at": send_at} if send_at else {})).encode()


def requests(crowd: Crowd, options: argparse.Namespace, client: int) -> Iterator[bytes]:
    """Those of one connection, made as they are asked for."""
    days = timedelta(days=options.in_days)
    send_at = (datetime.now(UTC) + days).isoformat() if days else ""
    for first in range(1 + client * BATCH, crowd.count + 1, BATCH * options.clients):
        yield body(crowd, first, sender=options.sender, send_at=send_at, engaged=options.engaged)


def send(url: str, key: str, made: Iterable[bytes], progress: Progress) -> None:
    """All of `made` over one connection; SystemExit with the server's words when one is refused."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for number, request in enumerate(made, start=1):
        connection.request("POST", "/api/v1/messages", request, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise SystemExit(f"POST messages: {response.status} {answer[:500]!r}")
        progress.tell(number * BATCH)
    connection.close()


def main() -> None:
    options = arguments()
    crowd = Crowd(options.count, options.tag, options.domain, options.spread)
    made: list[Iterable[bytes]] = [
        requests(crowd, options, client) for client in range(options.clients)
    ]
    if not options.lazy:
        made = [list(one) for one in made]
    print("ready", flush=True)
    sys.stdin.readline()
    key = os.environ["API_KEY"]
    share = crowd.count // options.clients
    with ThreadPoolExecutor(options.clients) as clients:
        progress = [Progress(f"handed in by connection {at}", share) for at, _ in enumerate(made)]
        list(clients.map(lambda one, told: send(options.url, key, one, told), made, progress))


if __name__ == "__main__":
    main()
