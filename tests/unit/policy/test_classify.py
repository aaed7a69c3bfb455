"""What replies of real servers come to, and what holds for every reply."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mta.mail.reply import Reply
from mta.policy.classify import Classifier
from mta.policy.logged_reply import read_logged_reply
from mta.policy.rules import parse_rules
from mta.policy.verdict import BOUNCE_CLASSES, Verdict

CORPUS = tomllib.loads(
    (Path(__file__).parents[2] / "data" / "replies.toml").read_text(encoding="utf-8")
)
BY_CLASS = [(text, name) for name, texts in CORPUS["classes"].items() for text in texts]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.default()


def test_the_corpus_is_large_and_knows_every_class() -> None:
    assert len(BY_CLASS) + len(CORPUS["case"]) >= 200
    assert set(CORPUS["classes"]) == set(BOUNCE_CLASSES)


@pytest.mark.parametrize(("text", "bounce_class"), BY_CLASS)
def test_real_replies(classifier: Classifier, text: str, bounce_class: str) -> None:
    verdict = classifier.classify(read_logged_reply(text))
    assert verdict.bounce_class == bounce_class, verdict
    may_try_again = bounce_class in {"rate_limited", "greylisted"}
    if text[0] == "4" or not may_try_again:
        assert verdict.permanent == (text[0] == "5"), verdict
    if verdict.action == "suppress":
        assert bounce_class in {"bad_mailbox", "inactive"}


@pytest.mark.parametrize("case", CORPUS["case"], ids=lambda case: f"{case['text'][:40]}")
def test_cases(classifier: Classifier, case: dict[str, Any]) -> None:
    verdict = classifier.classify(
        read_logged_reply(case["text"]),
        stage=case.get("stage", "dot"),
        provider=case.get("provider", ""),
        attempts=case.get("attempts", 0),
    )
    assert verdict.bounce_class == case["class"], verdict
    assert verdict.permanent == case.get("permanent", case["text"][0] == "5"), verdict
    for field in ("scope", "action"):
        if field in case:
            assert getattr(verdict, field) == case[field], verdict


def test_a_delivery_has_no_class(classifier: Classifier) -> None:
    verdict = classifier.classify(Reply(250, "2.0.0", "queued as 4Bx"))
    assert verdict == Verdict("delivered", "", False, "recipient", "", "delivered")


@pytest.mark.parametrize("code", [0, 1, 100, 199, 220, 354, 399, 600, 999])
@pytest.mark.parametrize("stage", ["connect", "ehlo", "starttls", "mail", "rcpt", "data", "dns"])
def test_what_is_not_understood_is_deferred(classifier: Classifier, code: int, stage: str) -> None:
    assert classifier.classify(Reply(code, "", "?"), stage=stage).outcome == "deferred"


def test_a_stage_nobody_knows_is_no_reason_to_fail(classifier: Classifier) -> None:
    assert classifier.classify(Reply(0, "", ""), stage="moon").outcome == "deferred"


def test_the_answer_does_not_depend_on_the_cache(classifier: Classifier) -> None:
    replies = [read_logged_reply(text) for text, _ in BY_CLASS]
    first = [classifier.classify(reply) for reply in replies]
    fresh = Classifier.default()
    for reply, expected in zip(replies, first, strict=True):
        fresh._seen.clear()
        assert fresh.classify(reply) == expected
    assert [classifier.classify(reply) for reply in reversed(replies)] == first[::-1]


def test_ids_and_addresses_do_not_fill_the_cache() -> None:
    classifier = Classifier.default()
    for number in range(300):
        text = (
            f"<user{number}@example.net>: queue id 4BxKQ{number:07d} from 192.0.2.{number % 250}"
            f" a{number:04d}40c23a62f3a-b7a5f9d2c4csi{number}.{number % 99} - gsmtp"
        )
        classifier.classify(Reply(550, "5.1.1", text))
    assert len(classifier._seen) == 1


def test_first_match_wins() -> None:
    rules = parse_rules(
        """
        [[rule]]
        name = "narrow"
        class = "quota"
        text = ['full moon']
        [[rule]]
        name = "wide"
        class = "policy"
        text = ['moon']
        """
    )
    classifier = Classifier(rules)
    assert classifier.classify(Reply(550, "", "Full Moon")).rule == "narrow"
    assert classifier.classify(Reply(550, "", "new moon")).rule == "wide"
    assert classifier.classify(Reply(550, "", "sun")).rule == "unknown-at-dot"


def test_enhanced_code_inside_the_text_counts(classifier: Classifier) -> None:
    assert classifier.classify(Reply(550, "", "sorry (#5.2.2)")).bounce_class == "quota"
    # An IP address is no enhanced code.
    assert classifier.classify(Reply(550, "", "bla [5.2.2.4]")).bounce_class == "other"
