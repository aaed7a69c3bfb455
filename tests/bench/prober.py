"""`python -m tests.bench.prober DOOR ADDRESS`: hands in one message at a time and notes when.

DOOR is api (HTTP) or smtp. The first line of standard input starts it; with --count 0 it goes on
until standard input ends. At the end it prints one JSON object: recipient -> [sent, accepted],
nanoseconds of the system clock before the first byte and after the 202 or 250.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import select
import smtplib
import sys
import time

from tests.bench.crowd import Crowd

LINE = "This is a line of your receipt, and it is as long as most.\r\n"
#: As much content as a message of the relay bench carries.
TEXT = LINE * 33


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prober")
    parser.add_argument("door", choices=["api", "smtp"])
    parser.add_argument("address")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--spread", type=int, default=0)
    parser.add_argument("--streams", default="transactional", help="taken in turn, by commas")
    parser.add_argument("--least-gap", type=float, default=0.02, metavar="SECONDS")
    parser.add_argument("--most-gap", type=float, default=0.1, metavar="SECONDS")
    return parser.parse_args()


class Api:
    """One HTTP connection that stays open."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=60)
        key = os.environ["API_KEY"]
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def send(self, to: str, stream: str) -> None:
        request = json.dumps(
            {
                "from": "Acme <shop@acme.test>",
                "subject": "Your receipt",
                "text": TEXT,
                "stream": stream,
                "recipients": [{"to": to}],
            }
        )
        self.connection.request("POST", "/api/v1/messages", request, self.headers)
        response = self.connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise SystemExit(f"POST messages: {response.status} {answer[:500]!r}")


class Smtp:
    """One SMTP session that stays open."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.session = smtplib.SMTP(host, int(port), timeout=60)
        self.session.ehlo("prober.test")

    def send(self, to: str, stream: str) -> None:
        """The credential's default stream takes it, which is the transactional one."""
        head = f"From: Acme <shop@acme.test>\r\nTo: <{to}>\r\nSubject: Your receipt\r\n\r\n"
        self.session.sendmail("shop@acme.test", [to], head + TEXT)


def go_on(count: int, done: int) -> bool:
    """Whether another message is due: `count` of them, or until standard input ends."""
    if count:
        return done < count
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return not readable


def main() -> None:
    options = arguments()
    crowd = Crowd(options.count, options.tag, options.domain, options.spread)
    door = Api(options.address) if options.door == "api" else Smtp(options.address)
    rng, streams = random.Random(crowd.tag), options.streams.split(",")
    print("ready", flush=True)
    sys.stdin.readline()
    instants: dict[str, tuple[int, int]] = {}
    while go_on(options.count, len(instants)):
        to = crowd.address(len(instants) + 1)
        sent_at = time.time_ns()
        door.send(to, streams[len(instants) % len(streams)])
        instants[to] = (sent_at, time.time_ns())
        time.sleep(rng.uniform(options.least_gap, options.most_gap))
    print(json.dumps(instants), flush=True)


if __name__ == "__main__":
    main()
