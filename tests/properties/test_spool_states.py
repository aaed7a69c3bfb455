"""Whatever happens to the spool in whatever order, its invariants hold and final states stay."""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mta.spool import claim, models, upkeep
from mta.spool.claim import Claim
from mta.spool.models import Lane, Message, Recipient
from mta.storage.fields import from_ms
from tests.cast import Cast
from tests.state.spool import desk

DOMAINS = st.sampled_from(["x.test", "y.test", "acme.test"])
OUTCOMES = st.sampled_from(
    ["delivered", "deferred", "bounced", "suppressed", "postponed", "limited"]
)


class Spool(RuleBasedStateMachine):
    """Injectors, dispatchers, workers, an operator and the sweep, one step at a time."""

    cast: Cast
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.point = transaction.atomic()
        self.point.__enter__()
        #: token -> recipients, of claims that nobody has ended.
        self.open: dict[int, set[int]] = {}
        self.final: dict[int, str] = {}
        self.domains: dict[int, str] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.point.__exit__(None, None, None)

    @rule(domain=DOMAINS, count=st.integers(1, 3), later=st.booleans())
    def inject(self, domain: str, count: int, later: bool) -> None:
        to = [f"u{n}@{domain}" for n in range(count)]
        desk.injected(self.cast, *to, send_at=4_000_000_000.0 if later else None)

    @rule(target=claims, domain=DOMAINS, limit=st.integers(1, 3))
    def claim(self, domain: str, limit: int) -> Claim:
        known = Lane.objects.filter(domain=domain).first()
        token = claim.new_token()
        if known is None:
            return Claim(token, (), None, False)
        held = desk.claimed(known.pk, limit, token=token, seconds=60)
        assert held is not None
        assert len(held.recipient_ids) <= limit
        taken = set().union(*self.open.values()) if self.open else set()
        assert not taken & set(held.recipient_ids), "claims overlap"
        self.open[token] = set(held.recipient_ids)
        self.domains[token] = domain
        return held

    @rule(held=claims, outcome=OUTCOMES, share=st.integers(0, 3), extra=st.booleans())
    def settle(self, held: Claim, outcome: str, share: int, extra: bool) -> None:
        if held.token not in self.domains:
            return
        others = list(Recipient.objects.values_list("pk", flat=True)[:1]) if extra else []
        ids = dict.fromkeys([*held.recipient_ids[:share], *others])
        summary = desk.settled_as(
            desk.context(self.cast, held.token, self.domains[held.token]),
            [desk.result(rid, outcome) for rid in ids]
        )  # fmt: skip
        still = self.open.get(held.token, set())
        assert summary.settled == len(still & ids.keys()), "what the token holds, and no other"
        still.difference_update(ids)

    @rule(held=consumes(claims))
    def give_back(self, held: Claim) -> None:
        assert claim.give_back(held.token) == len(self.open.pop(held.token, set()))

    @rule(held=claims)
    def renew(self, held: Claim) -> None:
        still = self.open.get(held.token, set())
        expected = {held.token} if still else set()
        assert claim.renew([held.token], seconds=60) == expected
        assert claim.held([held.token]) == expected

    @rule(held=claims)
    def lose(self, held: Claim) -> None:
        """The worker hangs; the sweep returns its claim."""
        models.Claim.objects.filter(token=held.token).update(ends_at=from_ms(1))
        assert claim.return_expired() == len(self.open.pop(held.token, set()))

    @rule()
    def time_passes(self) -> None:
        desk.make_due()

    @rule()
    def life_ends(self) -> None:
        """All that was injected so far has no time left."""
        Message.objects.update(created_at=from_ms(1), expires_at=from_ms(2))

    @rule()
    def hold(self) -> None:
        """An operator holds one that waits; the lane may stay armed too early."""
        one = Recipient.objects.filter(state="scheduled").order_by("id").first()
        if one is not None:
            Recipient.objects.filter(pk=one.pk).update(state="held", next_attempt_at=None)

    @rule()
    def upkeep(self) -> None:
        upkeep.expire()
        assert upkeep.rearm_all() == 0, "nothing was to be repaired"

    @invariant()
    def the_spool_is_whole(self) -> None:
        assert desk.broken() == []
        held = Recipient.objects.filter(state="claimed").values_list("claim_token", "pk")
        found: dict[int, set[int]] = {}
        for token, rid in held:
            assert token is not None
            found.setdefault(token, set()).add(rid)
        assert found == {token: ids for token, ids in self.open.items() if ids}

    @invariant()
    def final_states_stay(self) -> None:
        now = dict(Recipient.objects.filter(state__in=desk.FINAL).values_list("pk", "state"))
        assert self.final.items() <= now.items()
        self.final = now


@pytest.mark.django_db
def test_spool(cast: Cast) -> None:
    Spool.cast = cast
    run_state_machine_as_test(
        Spool,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
