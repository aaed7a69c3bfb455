"""Whatever is sent to the API, it answers as its schema says and never breaks (schemathesis)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from werkzeug.test import Client

from mta.egress.models import Source, Suspension
from mta.egress.provision import Provisioned, provision
from mta.mail.ids import encode
from mta.spool.models import Recipient
from mta.tenants.credentials import ALL_SCOPES, OPERATE, create_api_key
from mta.wsgi import application
from tests.state.api.program import kept_connection

schema = schemathesis.openapi.from_wsgi("/api/v1/schema", application)

# Mail has rules that JSON Schema cannot say (addresses, templates, whose domain it is), so a
# request that fits the schema may still be a 403, 409 or 422: that one check is left out.
EXCLUDED: list[Any] = [CHECKS.get_one("positive_data_acceptance")]
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    # One tenant serves all examples of an operation: what they leave behind is part of the test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MESSAGE: dict[str, Any] = {
    "from": "news@shop.example",
    "recipients": [{"to": "ann@customer.example"}, {"to": "bob@customer.example"}],
    "subject": "Hello",
    "text": "It works.",
    "campaign": "spring",
}


@pytest.fixture
def made(db: None) -> Iterator[Provisioned]:
    with kept_connection():
        yield provision("shop", ["shop.example"])


@pytest.fixture
def things(made: Provisioned) -> dict[str, str]:
    """Path parameter -> something of the tenant that exists."""
    client = Client(application)

    def post(path: str, body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {made.api_key}", "Content-Type": "application/json"}
        answer = client.post(f"/api/v1/{path}", data=json.dumps(body), headers=headers)
        assert answer.status_code in {201, 202}, answer.data
        found: dict[str, str] = json.loads(answer.data)
        return found

    return {
        "message_id": post("messages", MESSAGE)["id"],
        "recipient_id": encode(Recipient.objects.earliest("pk").pk),
        "suppression_id": post("suppressions", {"address": "cy@customer.example"})["id"],
        "webhook_id": post("webhooks", {"url": "https://shop.example/events"})["id"],
        "suspension_id": encode(Suspension.objects.create(scope="site", key="x.example").pk),
        "domain": "shop.example",
        "campaign": MESSAGE["campaign"],
        "source": Source.objects.create(name="out-1").name,
    }


@schema.parametrize()
@BOUNDED
def test_answers_are_those_of_the_schema(case: schemathesis.Case, made: Provisioned) -> None:
    headers = {"Authorization": f"Bearer {made.api_key}"}
    case.call_and_validate(headers=headers, excluded_checks=EXCLUDED)


@schema.include(path_regex=r"\{").parametrize()
@BOUNDED
def test_so_are_those_about_things_that_exist(
    case: schemathesis.Case, made: Provisioned, things: dict[str, str]
) -> None:
    case.path_parameters = {name: things[name] for name in case.path_parameters}
    _, key = create_api_key(made.tenant, scopes=(*ALL_SCOPES, OPERATE))
    headers = {"Authorization": f"Bearer {key}"}
    case.call_and_validate(headers=headers, excluded_checks=EXCLUDED)
