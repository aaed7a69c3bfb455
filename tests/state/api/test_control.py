"""Orders by API: a tenant over its own campaigns, an operator's key over everything."""

from __future__ import annotations

import pytest

from mta.egress.models import Pool, PoolMember, Source, Suspension
from mta.events.models import Decision
from mta.spool.models import Recipient
from mta.tenants.credentials import ALL_SCOPES, OPERATE, create_api_key
from mta.tenants.models import ApiKey, Stream, Tenant
from tests.state.api.program import Program
from tests.state.api.requests import message


@pytest.fixture
def mail(program: Program, stranger: Program) -> None:
    """Mail of a campaign of both tenants."""
    for number in range(2):
        body = message(f"r{number}@customer.example", campaign="spring/sale")
        program.call("POST", "messages", body, expect=202)
    theirs = message("s@customer.example", campaign="spring/sale",
                     **{"from": "a@stranger.example"})  # fmt: skip
    stranger.call("POST", "messages", theirs, expect=202)


@pytest.fixture
def operator(program: Program) -> Program:
    _, token = create_api_key(Tenant.objects.get(name="shop"), scopes=(*ALL_SCOPES, OPERATE))
    return Program(token)


def states(tenant: str = "shop") -> list[str]:
    rows = Recipient.objects.filter(message__tenant__name=tenant).order_by("pk")
    return list(rows.values_list("state", flat=True))


CAMPAIGN = "campaigns/spring%2Fsale"


@pytest.mark.usefixtures("mail")
def test_a_campaign_is_counted_then_cancelled(program: Program, stranger: Program) -> None:
    found = program.json("POST", f"{CAMPAIGN}/cancel?dry_run=true", {})
    assert (found["total"], found["done"], found["changed"]) == (2, False, 0)
    assert states() == ["scheduled"] * 2
    found = program.json("POST", f"{CAMPAIGN}/cancel", {"reason": "wrong list"})
    assert (found["changed"], found["by_state"]) == (2, {"scheduled": 2})
    assert states() == ["admin_bounced"] * 2
    assert states("stranger") == ["scheduled"]
    told = Decision.objects.get()
    prefix = ApiKey.objects.get(tenant__name="shop").prefix
    assert (told.kind, told.actor, told.count) == ("cancel", f"shop/{prefix}", 2)
    program.call("POST", "campaigns/none/cancel", {}, expect=404)
    stranger.call("POST", "campaigns/autumn/cancel", {}, expect=404)


@pytest.mark.usefixtures("mail")
def test_a_campaign_is_suspended_and_resumed(program: Program, stranger: Program) -> None:
    assert program.json("POST", f"{CAMPAIGN}/suspend?dry_run=true", {})["total"] == 2
    assert not Suspension.objects.exists()
    ends = "2099-01-01T00:00:00Z"
    found = program.json("POST", f"{CAMPAIGN}/suspend", {"reason": "price", "ends_at": ends})
    assert (found["changed"], states()) == (2, ["held"] * 2)
    assert states("stranger") == ["scheduled"]
    (shown,) = program.json("GET", "suspensions")["items"]
    assert (shown["scope"], shown["name"], shown["reason"]) == (
        "campaign", "shop/spring/sale", "price",
    )  # fmt: skip
    assert stranger.json("GET", "suspensions")["items"] == []
    assert program.json("POST", f"{CAMPAIGN}/resume?dry_run=true", {})["total"] == 2
    assert program.json("POST", f"{CAMPAIGN}/resume", {})["changed"] == 2
    assert states() == ["scheduled"] * 2
    program.call("POST", f"{CAMPAIGN}/resume", {}, expect=404)


@pytest.mark.usefixtures("mail")
def test_what_the_operator_suspended_only_the_operator_ends(
    program: Program, operator: Program
) -> None:
    body = {"name": "shop/spring/sale", "reason": "complaints"}
    assert operator.json("POST", "suspensions?dry_run=true", body) == {
        "suspension": None, "waiting": 2,
    }  # fmt: skip
    Suspension.objects.create(scope="campaign", key="shop/spring/sale", created_by="olga")
    for order in ("resume", "suspend"):
        problem = program.json("POST", f"{CAMPAIGN}/{order}", {}, expect=403)
        assert "ask the operator" in problem["detail"]
    assert Suspension.objects.get().created_by == "olga"
    (shown,) = operator.json("GET", "suspensions")["items"]
    program.call("DELETE", f"suspensions/{shown['id']}", expect=403)
    operator.call("DELETE", f"suspensions/{shown['id']}", expect=204)
    operator.call("DELETE", f"suspensions/{shown['id']}", expect=404)


@pytest.mark.usefixtures("mail")
def test_mail_moves_to_a_pool_of_the_tenant(program: Program, stranger: Program) -> None:
    shop = Tenant.objects.get(name="shop")
    slow = Pool.objects.create(name="slow", tenant=shop)
    Pool.objects.create(name="foreign")
    body = {"pool": "slow", "filter": {"campaign": "spring/sale", "domain": "customer.example"}}
    assert program.json("POST", "move?dry_run=true", body)["total"] == 2
    assert program.json("POST", "move", body)["changed"] == 2
    moved = Recipient.objects.filter(lane__pool_id=slow.pk)
    assert set(moved.values_list("message__tenant__name", flat=True)) == {"shop"}
    stranger.call("POST", "move", body, expect=422)
    for wrong, field in (
        ({"pool": "foreign", "filter": {"campaign": "x"}}, "pool"),
        ({"pool": "slow", "filter": {}}, "filter"),
        ({"pool": "slow", "filter": {"stream": "none"}}, "filter"),
        ({"pool": "slow", "filter": {"older_than": "long"}}, "filter"),
    ):
        problem = program.json("POST", "move", wrong, expect=422)
        assert problem["errors"][0]["field"] == field
    own = Stream.objects.get(tenant=shop, is_default=True).pool.name
    back = {"pool": own, "filter": {"campaign": "spring/sale"}}
    assert program.json("POST", "move", back)["changed"] == 2
    assert not moved.exists()


@pytest.mark.usefixtures("mail")
def test_an_operators_key_suspends_and_drains(program: Program, operator: Program) -> None:
    body = {"name": "customer.example", "reason": "they asked"}
    program.call("POST", "suspensions", body, expect=403)
    found = operator.json("POST", "suspensions", body)
    assert (found["waiting"], found["suspension"]["scope"]) == (3, "site")
    assert program.json("GET", "suspensions")["items"] == []
    problem = operator.json("POST", "suspensions", {"name": "a b"}, expect=422)
    assert problem["errors"][0]["field"] == "name"

    source = Source.objects.create(name="out-1")
    PoolMember.objects.create(pool=Pool.objects.create(name="p"), source=source)
    program.call("POST", "sources/out-1/drain", {}, expect=403)
    assert operator.json("POST", "sources/out-1/drain?dry_run=true", {})["status"] == "active"
    assert operator.json("POST", "sources/out-1/drain", {})["status"] == "draining"
    assert operator.json("POST", "sources/out-1/undrain", {})["status"] == "active"
    operator.call("POST", "sources/none/drain", {}, expect=404)
    Source.objects.update(status="suspended")
    operator.call("POST", "sources/out-1/undrain", {}, expect=422)
    assert [row.kind for row in Decision.objects.order_by("id")] == ["suspend", "drain", "undrain"]


@pytest.mark.usefixtures("mail")
@pytest.mark.parametrize(
    "address", [f"{CAMPAIGN}/cancel", f"{CAMPAIGN}/suspend", "move", "sources/x/drain"]
)
def test_orders_need_their_scope_and_right_words(program: Program, address: str) -> None:
    _, token = create_api_key(Tenant.objects.get(name="shop"), scopes=("send", "read"))
    Program(token).call("POST", address, {}, expect=403)
    if "sources" not in address:
        program.call("POST", f"{address}?dry_run=perhaps", {}, expect=422)
        program.call("POST", address, {"resaon": "x"}, expect=422)
