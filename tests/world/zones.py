"""The zones of the fake world: records in memory, and what the answer to a question is.

Rule 1: a name with any record, or with a name below it, exists; everything else is NXDOMAIN.
Rule 2: `*.name` answers for every name below that has no records of its own (RFC 4592, without
its finer points).
Rule 3: the pseudo-type RCODE makes a name fail: SERVFAIL, REFUSED, NXDOMAIN, or DROP, which
answers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

TTL = 300
NEGATIVE_TTL = 60
MAX_CNAMES = 8


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    #: "MX", "A", "AAAA", "TXT", "CNAME", "RCODE".
    type: str
    #: Presentation form without quotes: "10 mx1.demo.test", "127.0.0.1", "v=DKIM1; ...".
    value: str
    ttl: int = TTL


def plain(name: str) -> str:
    return name.rstrip(".").lower()


@dataclass(slots=True)
class Zones:
    records: dict[str, dict[str, list[Record]]] = field(default_factory=dict)
    #: How often each (name, type) was asked since the last reset.
    queries: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            types = self.records.setdefault(plain(record.name), {})
            types.setdefault(record.type, []).append(record)

    def put(self, name: str, type_: str, values: Iterable[str], ttl: int = TTL) -> None:
        """Replace the records of one name and type; no values remove them."""
        types = self.records.setdefault(plain(name), {})
        types[type_] = [Record(name, type_, value, ttl) for value in values]
        if not types[type_]:
            del types[type_]
        if not types:
            del self.records[plain(name)]

    def find(self, name: str) -> dict[str, list[Record]] | None:
        """Records of a name by type; {} for an empty non-terminal; None when it does not exist."""
        if name in self.records:
            return self.records[name]
        if any(known.endswith("." + name) for known in self.records):
            return {}
        labels = name.split(".")
        for cut in range(1, len(labels)):
            wild = self.records.get("*." + ".".join(labels[cut:]))
            if wild is not None:
                return wild
        return None

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The response to a question, None where the zone says to keep silent."""
        response = dns.message.make_response(query, recursion_available=True, our_payload=1232)
        question = query.question[0]
        name = plain(question.name.to_text())
        type_ = dns.rdatatype.to_text(question.rdtype)
        self.queries[(name, type_)] = self.queries.get((name, type_), 0) + 1
        for _ in range(MAX_CNAMES):
            types = self.find(name)
            if types is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                break
            if "RCODE" in types:
                if types["RCODE"][0].value == "DROP":
                    return None
                response.set_rcode(dns.rcode.from_text(types["RCODE"][0].value))
                break
            if type_ in types:
                response.answer.append(rrset(name, types[type_]))
                return response
            if "CNAME" not in types:
                break
            response.answer.append(rrset(name, types["CNAME"]))
            name = plain(types["CNAME"][0].value)
        if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            response.authority.append(start_of_authority(name))
        return response


def rrset(name: str, records: list[Record]) -> dns.rrset.RRset:
    values = [text_value(r.value) if r.type == "TXT" else r.value for r in records]
    values = [absolute(r.type, value) for r, value in zip(records, values, strict=True)]
    return dns.rrset.from_text(f"{name}.", records[0].ttl, "IN", records[0].type, *values)


def absolute(type_: str, value: str) -> str:
    return value if type_ not in ("MX", "CNAME") or value.endswith(".") else value + "."


def text_value(value: str) -> str:
    """A TXT value as quoted strings of at most 255 octets each (RFC 1035 3.3)."""
    escaped = [value[at : at + 255] for at in range(0, len(value), 255)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in escaped)


def start_of_authority(name: str) -> dns.rrset.RRset:
    """The SOA that gives a negative answer its time to live (RFC 2308 5)."""
    apex = ".".join(name.split(".")[-2:])
    value = f"ns.{apex}. hostmaster.{apex}. 1 7200 3600 1209600 {NEGATIVE_TTL}"
    return dns.rrset.from_text(f"{apex}.", NEGATIVE_TTL, "IN", "SOA", value)
