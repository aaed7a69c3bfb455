"""Turns the OpenAPI document into what the docs page shows: operations by tag, fields, examples."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from mta.api.problems import KINDS
from mta.api.schema import METHODS, WITH_BODY

HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,260}")
#: What to do about each kind of problem; the docs page shows it under the problem's name.
FIXES = {
    "malformed": "Send one JSON object in UTF-8.",
    "unauthorized": "Send Authorization: Bearer KEY with a key that is not revoked or expired.",
    "scope-missing": "Use a key with the scope that detail names.",
    "tenant-suspended": "Ask the operator; reading still works.",
    "sender-not-allowed": "Add the domain, or send as one that is yours.",
    "not-found": "Check the address and the id; other tenants' resources are not there for you.",
    "method-not-allowed": "Use a method of the Allow header.",
    "conflict": "Use the one that exists, or another name.",
    "idempotency-conflict": "Take a new key for a new request.",
    "too-large": "Split the recipients over several requests, or make attachments smaller.",
    "unsupported-media-type": "Send Content-Type: application/json.",
    "invalid": "Mend the fields in errors; nothing was stored.",
    "all-rejected": "Correct the addresses in rejected; nothing was stored.",
    "policy-rejected": "Do as detail says: the operator's own rules refuse the message.",
    "quota-exceeded": "Wait as long as Retry-After says, or ask the operator for more.",
    "internal": "Nothing is certain: send it again with the same Idempotency-Key.",
    "unavailable": "Nothing was stored: send it again after Retry-After seconds.",
}
#: Stand for ids in examples.
IDS = {"domain": "shop.example", "campaign": "spring", "source": "out-1"}


@dataclass(frozen=True, slots=True)
class Row:
    """One member of a body, or one parameter."""

    name: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Row]
    request: list[Row]
    answers: list[tuple[str, str, list[Row]]]
    problems: str
    curl: str


def context(document: dict[str, Any], base: str) -> dict[str, Any]:
    """What the template needs; `base` is scheme and host for the examples."""
    groups: dict[str, list[Operation]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                found = operation(document, path, method, operations[method], base)
                groups.setdefault(operations[method]["tags"][0], []).append(found)
    problems = [(name, *KINDS[name], FIXES[name]) for name in KINDS]
    return {"groups": list(groups.items()), "problems": problems, "base": base}


def operation(
    document: dict[str, Any], path: str, method: str, told: dict[str, Any], base: str
) -> Operation:
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    answers = [
        (status, answer.get("description", ""), rows(document, schema_of(answer)))
        for status, answer in told["responses"].items()
        if status.startswith("2")
    ]
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told.get("summary", ""),
        description=marked(told.get("description", "")),
        parameters=[parameter(one) for one in told.get("parameters", ())],
        request=rows(document, body.get("schema", {})),
        answers=answers,
        problems=", ".join(s for s in told["responses"] if not s.startswith("2")),
        curl=curl(told, path, method, body, base),
    )


def schema_of(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def parameter(told: dict[str, Any]) -> Row:
    place = "" if told["in"] == "query" else f"{told['in']}, "
    return Row(
        told["name"],
        place + kind_of(told.get("schema", {})),
        bool(told.get("required")),
        marked(told.get("description", "")),
    )


def rows(document: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> list[Row]:
    """The members of an object, those of its lists below it."""
    return list(members(document, schema, prefix))


def members(document: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[Row]:
    schema = resolved(document, schema)
    required = set(schema.get("required", ()))
    for name, told in schema.get("properties", {}).items():
        inner = resolved(document, told)
        yield Row(
            prefix + name, kind_of(inner), name in required,
            marked(told.get("description", inner.get("description", ""))),
        )  # fmt: skip
        if "items" in inner:
            yield from members(document, inner["items"], f"{prefix}{name}[].")
        elif "properties" in inner:
            yield from members(document, inner, f"{prefix}{name}.")


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Behind $ref; a lone member of allOf or the first of oneOf counts as the schema."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "allOf" in schema or "oneOf" in schema:
            schema = (schema.get("allOf") or schema["oneOf"])[0]
        else:
            return schema


def kind_of(schema: dict[str, Any]) -> str:
    """The type in words."""
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return "list"
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"] if value is not None)
    form = schema.get("format") or schema.get("contentEncoding")
    return f"{kind} ({form})" if form else str(kind)


def curl(told: dict[str, Any], path: str, method: str, body: dict[str, Any], base: str) -> str:
    """A command that a reader can paste; the key comes from $KEY."""
    address = re.sub(r"\{(\w+)\}", lambda m: IDS.get(m[1], "0b5x7h2k9m4qt"), path)
    command = "curl" if method == "get" else f"curl -X {method.upper()}"
    lines = [f"{command} {base}{address}", '  -H "Authorization: Bearer $KEY"']
    if method in WITH_BODY:
        (shown, *_) = [one["value"] for one in body["examples"].values()]
        text = orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()
        lines += ['  -H "Content-Type: application/json"', f"  -d {shlex.quote(text)}"]
    return " \\\n".join(lines)


def marked(text: str) -> SafeString:
    """The schema's CommonMark as HTML: it uses code spans only."""
    return mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308  # escaped


def shown_host(host: str) -> str:
    """The host of the request when it is one; it only stands in examples."""
    return host if HOST.fullmatch(host) else "127.0.0.1:8000"
