"""The cast of the fake world: one domain per behaviour, and what must become of mail for it.

The demo sends to ROLES and prints expected against actual from them; EXTRAS are for tests alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.world.behaviour import ACCEPT, Behaviour, make
from tests.world.site import Host
from tests.world.zones import Record

ZONE = "demo.test"


@dataclass(frozen=True, slots=True)
class Role:
    domain: str
    #: One sentence in the third person: what the receiver does.
    story: str
    #: State of the recipient at the end: "delivered", "bounced", "deferred" (for ever).
    outcome: str
    bounce_class: str = ""
    #: Begin of the reply that decided, "" when delivered.
    reply: str = ""
    #: The fewest attempts that can lead to the outcome, with one message at a time.
    attempts: int = 1
    behaviour: Behaviour = ACCEPT
    hosts: tuple[Host, ...] = ()
    #: All records of the domain and of its hosts.
    records: tuple[Record, ...] = ()
    #: Local part of its recipients; {n} is a number.
    local_part: str = "user{n}"
    #: It blocks whoever sends: what was not refused yet waits for the end of the block.
    blocks: bool = False
    #: Share of a campaign in parts; slow receivers get fewer.
    weight: int = 4
    #: Other domains whose mail its peers take.
    also: frozenset[str] = frozenset()

    def address(self, number: int) -> str:
        return f"{self.local_part.format(n=number)}@{self.domain}"


def receiver(
    label: str, story: str, outcome: str = "delivered", *, net: int, **more: object
) -> Role:
    """A role with one MX host of its own, mx1.<domain> on 127.77.<net>.1."""
    domain = f"{label}.{ZONE}"
    host = Host(f"mx1.{domain}", f"127.77.{net}.1")
    return replace(
        Role(domain, story, outcome, hosts=(host,), records=mail_exchangers(domain, host)),
        **more,  # type: ignore[arg-type]  # the fields of Role
    )


def mail_exchangers(domain: str, *hosts: Host) -> tuple[Record, ...]:
    """MX records in order of preference, and the addresses of the hosts."""
    exchangers = [
        Record(domain, "MX", f"{10 * at} {h.name}") for at, h in enumerate(hosts, start=1)
    ]
    return (*exchangers, *(Record(host.name, "A", host.address) for host in hosts))


def first_dead() -> Role:
    domain = f"firstdead.{ZONE}"
    hosts = (
        Host(f"mx1.{domain}", "127.77.6.1", listens=False),
        Host(f"mx2.{domain}", "127.77.6.2"),
    )
    return Role(
        domain, "The first MX is dead, the second accepts.", "delivered",
        hosts=hosts, records=mail_exchangers(domain, *hosts),
    )  # fmt: skip


def address_only() -> Role:
    domain = f"nomx.{ZONE}"
    host = Host(domain, "127.77.7.1")
    return Role(
        domain, "Has no MX, only an address, and accepts there (RFC 5321 5.1).", "delivered",
        hosts=(host,), records=(Record(domain, "A", host.address),),
    )  # fmt: skip


ROLES: tuple[Role, ...] = (
    receiver("accepts", "Accepts everything.", net=1, weight=12),
    receiver(
        "greylist", "Greylists for 10 seconds, then accepts.",
        net=2, behaviour=make("greylist"), attempts=2,
    ),
    receiver(
        "nobody", "Knows none of the recipients: 550 5.1.1.", "bounced",
        net=3, behaviour=make("reject"), bounce_class="bad_mailbox", reply="550 5.1.1",
    ),
    receiver(
        "full", "Says 452 4.2.2 (mailbox full) twice, then accepts.",
        net=4, behaviour=make("full"), attempts=3,
    ),
    receiver(
        "block", "Blocks the sender by a block list: 554 5.7.1.", "bounced",
        net=5, behaviour=make("block"), bounce_class="reputation", reply="554 5.7.1",
        blocks=True,
    ),
    first_dead(),
    address_only(),
    Role(
        f"nullmx.{ZONE}", "Takes no mail at all: null MX (RFC 7505).", "bounced",
        bounce_class="bad_domain", reply="556 5.1.10",
        records=(Record(f"nullmx.{ZONE}", "MX", "0 ."),),
    ),
    Role(
        f"nxdomain.{ZONE}", "Does not exist: NXDOMAIN.", "bounced",
        bounce_class="bad_domain", reply="550 5.1.2",
    ),
    receiver("starttls", "Offers STARTTLS.", net=10, behaviour=make("starttls")),
    receiver(
        "brokentls", "Offers STARTTLS but cannot shake hands; takes plaintext.",
        net=11, behaviour=make("starttls_broken"),
    ),
    receiver(
        "drops", "Drops the connection in DATA once per recipient, then accepts.",
        net=12, behaviour=make("drop_in_data"), attempts=2,
    ),
    receiver(
        "fivefirst", "Hangs up with 421 after 5 messages on a connection.",
        net=13, behaviour=make("limit_messages"),
    ),
    receiver("slow", "Takes 2 seconds per message.", net=14, behaviour=make("slow"), weight=1),
    receiver(
        "ascii", "Has no SMTPUTF8 and is sent internationalised addresses.", "bounced",
        net=15, behaviour=make("no_smtputf8"), local_part="grüße{n}",
        bounce_class="protocol", reply="550 5.6.7",
    ),
    receiver(
        "busy", "Greets the first three connections with 421, then accepts.",
        net=16, behaviour=make("busy_greeting"), attempts=4,
    ),
)  # fmt: skip

EXTRAS: tuple[Role, ...] = (
    Role(
        f"servfail.{ZONE}", "Its name servers are broken: SERVFAIL.", "deferred",
        bounce_class="dns", reply="451 4.4.3",
        records=(Record(f"servfail.{ZONE}", "RCODE", "SERVFAIL"),),
    ),
    Role(
        f"nodns.{ZONE}", "Its name servers never answer.", "deferred",
        bounce_class="dns", reply="451 4.4.3",
        records=(Record(f"nodns.{ZONE}", "RCODE", "DROP"),),
    ),
    receiver(
        "target", "Is reached by the alias as well.",
        net=18, also=frozenset({f"alias.{ZONE}"}),
    ),
    Role(
        f"alias.{ZONE}", "Is a CNAME for target.demo.test.", "delivered",
        records=(Record(f"alias.{ZONE}", "CNAME", f"target.{ZONE}"),),
    ),
    receiver("sink", "Accepts everything, for load.", net=20),
)  # fmt: skip


def campaign(count: int) -> list[tuple[Role, str]]:
    """`count` different recipients over ROLES by weight, in turns, each with its role."""
    turn = [role for role in ROLES for _ in range(role.weight)]
    # Interleaved by a stride that shares no divisor with the length: neighbours are of different
    # domains.
    stride = next(s for s in (37, 41, 43) if len(turn) % s)
    order = [turn[(at * stride) % len(turn)] for at in range(len(turn))]
    return [
        (role, role.address(number))
        for number, role in ((number, order[number % len(order)]) for number in range(count))
    ]
