"""The docs page shows every operation and needs nothing from elsewhere."""

from __future__ import annotations

import re

from mta.api.problems import KINDS
from mta.api.schema import document
from tests.state.api.program import Program


def page() -> str:
    answer = Program().client.get("/api/docs", headers={"Host": "mail.example:8000"})
    assert answer.status_code == 200
    # The browser itself is told to load nothing.
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return answer.get_data(as_text=True)


def test_every_operation_is_shown_with_a_curl_command() -> None:
    text = page()
    for operations in document()["paths"].values():
        for told in operations.values():
            assert f'<article id="{told["operationId"]}">' in text
            assert told["summary"] in text
    assert "curl -X POST http://mail.example:8000/api/v1/messages \\" in text
    assert "recipients[].substitutions" in text


def test_every_problem_type_leads_to_its_paragraph() -> None:
    text = page()
    for kind in KINDS:
        assert f'id="{kind}"' in text


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page()
    assert not re.search(r"<(script|link|img|iframe)\b|url\(|@import", text)
    links = set(re.findall(r'href="([^"]*)"', text))
    assert {link for link in links if not link.startswith("#")} == {"/api/v1/schema"}
    anchors = set(re.findall(r'id="([^"]*)"', text))
    assert {link[1:] for link in links if link.startswith("#")} <= anchors


def test_a_forged_host_is_not_shown() -> None:
    answer = Program().client.get("/api/docs", headers={"Host": "x$(rm -rf)"})
    assert b"rm -rf" not in answer.data


def test_neighbouring_addresses_lead_to_the_page() -> None:
    for address in ("/api/", "/api/docs/"):
        answer = Program().client.get(address)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/api/docs")


def test_the_page_is_only_read() -> None:
    answer = Program().client.post("/api/docs")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
