"""Every reason that a limit can give is in the page that tells what to do about it."""

from __future__ import annotations

from mta.delivery.choose import WORDS
from tests.unit.docs.pages import ROOT

PAGE = (ROOT / "docs" / "how-to" / "understand-why-mail-waits.md").read_text()


def test_every_limit_that_mail_waits_for() -> None:
    assert [words for words in WORDS.values() if words not in PAGE] == []
