"""From a reply to a verdict: code, enhanced code and text, read by an ordered list of rules.

Rule 1: the first rule of the file that matches decides the class; the code decides permanence.
Rule 2: unknown means temporary; only an unknown 5xx about an address or a message is permanent
        (RFC 5321 4.2.1), because the server was asked and said no.
Rule 3: before MAIL nobody was asked about an address: whatever is said there is temporary and
        reaches the session or the site, since the next MX or a later try may do better.
Rule 4: regexes see a masked text (addresses, ids and long numbers become "#"), and so does the
        cache: the answer cannot depend on whether a reply was seen before.
"""

import re
from collections.abc import Sequence
from typing import Self

from mta.mail.reply import Reply
from mta.policy.rules import BounceRule, load_rules
from mta.policy.verdict import BOUNCED, DEFERRED, DELIVERED, Verdict

_DELIVERED = Verdict(DELIVERED, "", False, "recipient", "", "delivered")

#: Stages at which no address has been named yet.
_SESSION_STAGES = frozenset({"connect", "ehlo", "starttls"})

#: Class and scope when no rule knows better, by stage; elsewhere `other` and the recipient.
_UNKNOWN = {
    "connect": ("connection", "session"),
    "ehlo": ("connection", "session"),
    "starttls": ("tls", "session"),
    "dns": ("dns", "recipient"),
    "mail": ("other", "message"),
    "data": ("other", "message"),
}

_MASKED = re.compile(
    r"[^<>\"'()\[\]:;,=]*@[^<>\"'()\[\]:;,=]*"  # addresses
    r"|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"  # IPv4
    r"|[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f]{0,4}"  # IPv6
    r"|(?<![a-z0-9])[a-z]*\d[a-z0-9]{7,}(?:[-.][a-z0-9]+)*"  # queue ids
    r"|\d{5,}"  # sizes, timestamps, ticket numbers
)
_ENHANCED_IN_TEXT = re.compile(r"(?:^|[#(\[])\s?([45]\.\d\.\d{1,3})(?![.\d])")
_CACHE_LIMIT = 20_000


#: Words that masking leaves alone. Most words of a reply are old friends: looking them up here is
#: ten times faster than running the regex over the whole text.
_plain_words: set[str] = set()


def mask(text: str) -> str:
    """Lower-case `text` and put "#" for what differs between two replies of the same meaning."""
    words = text.lower().split()
    if words and words[-1] == "gsmtp" and len(words) > 2 and words[-2] == "-":
        # Google ends each reply with an id of its own; a URL may stand there as well.
        del words[-2 if "/" in words[-3] else -3 :]
    plain = _plain_words
    return " ".join([word if word in plain else _mask_word(word) for word in words])


def _mask_word(word: str) -> str:
    masked = _MASKED.sub("#", word)
    if masked == word:
        if len(_plain_words) >= _CACHE_LIMIT:
            _plain_words.clear()
        _plain_words.add(word)
    return masked


class _Compiled:
    """A rule with its regexes compiled and its verdicts for both permanences made once."""

    __slots__ = ("codes", "enhanced", "patterns", "rule", "wild")

    def __init__(self, rule: BounceRule) -> None:
        self.rule = rule
        self.codes = frozenset(rule.codes)
        self.enhanced = frozenset(item for item in rule.enhanced if item[-1] != "*")
        self.wild = frozenset(item[:-1] for item in rule.enhanced if item[-1] == "*")
        self.patterns = tuple(re.compile(pattern) for pattern in rule.text)

    def takes(self, code: int, enhanced: str) -> bool:
        """Tell whether code and enhanced status are ones this rule speaks about."""
        if str(code) not in self.codes and f"{code // 100}xx" not in self.codes:
            return False
        if not self.rule.enhanced:
            return True
        subject, _, _ = enhanced[2:].partition(".")
        return (
            enhanced in self.enhanced
            or f"x{enhanced[1:]}" in self.enhanced
            or f"x.{subject}." in self.wild
            or f"{enhanced[:1]}.{subject}." in self.wild
        )

    def matches(self, text: str, stage: str, provider: str, attempts: int) -> bool:
        """Tell whether the rest of the conditions hold; `text` is masked."""
        rule = self.rule
        if rule.stages and stage not in rule.stages:
            return False
        if rule.providers and provider not in rule.providers:
            return False
        if rule.first_attempts and attempts >= rule.first_attempts:
            return False
        return not self.patterns or any(pattern.search(text) for pattern in self.patterns)


class Classifier:
    """Rules made ready; safe to share between threads (its caches only ever save work)."""

    def __init__(self, rules: Sequence[BounceRule]) -> None:
        """Compile `rules`, in order; re.error when a regex is broken (rules_check says which)."""
        self._rules = tuple(_Compiled(rule) for rule in rules)
        self._attempts_matter = max((rule.first_attempts for rule in rules), default=0)
        self._by_code: dict[tuple[int, str], tuple[_Compiled, ...]] = {}
        self._seen: dict[tuple[int, str, str, str, str, int], Verdict] = {}

    @classmethod
    def default(cls) -> Self:
        """Make a classifier of the rules that come with Mailmill."""
        return cls(load_rules())

    def classify(
        self, reply: Reply, *, stage: str = "dot", provider: str = "", attempts: int = 0
    ) -> Verdict:
        """Say what `reply` means at `stage`, after `attempts` earlier tries at this recipient.

        A failure without a reply is Reply(0, "", "what went wrong"). Never raises on odd replies.
        """
        code = reply.code
        if 200 <= code < 300 and stage in ("dot", "local"):
            return _DELIVERED
        text = mask(reply.text)
        attempts = min(attempts, self._attempts_matter)
        key = (code, reply.enhanced, text, stage, provider, attempts)
        verdict = self._seen.get(key)
        if verdict is None:
            verdict = self._decide(reply, text, stage, provider, attempts)
            if len(self._seen) >= _CACHE_LIMIT:
                self._seen.clear()
            self._seen[key] = verdict
        return verdict

    def _decide(self, reply: Reply, text: str, stage: str, provider: str, attempts: int) -> Verdict:
        code = reply.code
        if code >= 600 or 0 < code < 400:  # RFC 5321 4.2.1 knows no such failure
            return Verdict(DEFERRED, "protocol", False, "session", "", "not-a-failure-reply")
        enhanced = reply.enhanced
        if not enhanced and (found := _ENHANCED_IN_TEXT.search(reply.text)):
            enhanced = found[1]
        for rule in self._candidates(code, enhanced):
            if rule.matches(text, stage, provider, attempts):
                return _verdict(rule.rule, code, stage)
        bounce_class, scope = _UNKNOWN.get(stage, ("other", "recipient"))
        if code == 0:
            bounce_class, scope = (
                (bounce_class, scope)
                if stage in _UNKNOWN and bounce_class != "other"
                else ("connection", "session")
            )
        fallback = BounceRule(f"unknown-at-{stage}", bounce_class, scope=scope)
        return _verdict(fallback, code, stage)

    def _candidates(self, code: int, enhanced: str) -> tuple[_Compiled, ...]:
        key = (code, enhanced)
        rules = self._by_code.get(key)
        if rules is None:
            rules = tuple(rule for rule in self._rules if rule.takes(code, enhanced))
            if len(self._by_code) >= _CACHE_LIMIT:
                self._by_code.clear()
            self._by_code[key] = rules
        return rules


def _verdict(rule: BounceRule, code: int, stage: str) -> Verdict:
    """Make the verdict of `rule` for `code` at `stage`: rules 2 and 3 of this file."""
    permanent = 500 <= code < 600 and rule.may_be_permanent and stage not in _SESSION_STAGES
    scope, action = rule.scope, rule.action
    # 421 closes the connection, whatever the reason (RFC 5321 3.8).
    if scope != "site" and (code == 421 or stage in _SESSION_STAGES):
        scope = "session"
    if action == "suppress" and not permanent:
        action = ""
    outcome = BOUNCED if permanent else DEFERRED
    return Verdict(outcome, rule.bounce_class, permanent, scope, action, rule.name)
