"""People at work in a real browser: they log in, open pages, watch a queue, keep to a tenant."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.services.processes import ChildProcess
from tests.services.redis import ValkeyProcess, start_valkey
from tests.state.dashboard.browser_scene import PASSWORD

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-headless-shell")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
]  # fmt: skip
LISTS = [
    "tenants/tenant", "tenants/stream", "tenants/sendingdomain", "tenants/dkimkey",
    "tenants/apikey", "tenants/smtpcredential", "tenants/user", "egress/pool", "egress/source",
    "egress/warmupschedule", "egress/shapingrule", "egress/automationrule", "egress/routingrule",
    "egress/suspension", "suppression/suppression", "events/event", "events/decision",
    "events/webhookendpoint",
    "spool/message", "spool/recipient", "spool/attempt", "spool/lane", "spool/body",
]  # fmt: skip
READ_ONLY = {"events/event", "events/decision", *(one for one in LISTS if one.startswith("spool/"))}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH")


@dataclass
class Site:
    """A web server with a database of its own."""

    folder: Path
    valkey: ValkeyProcess
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        clean = {name: value for name, value in os.environ.items() if "MAILMILL" not in name}
        self.environment = {
            **clean,
            "MAILMILL_DATA_DIR": str(self.folder),
            "MAILMILL_DATABASE_URL": f"sqlite:///{self.folder}/pages.sqlite3",
            "MAILMILL_SECRET_KEY": "a secret key of the pages, as long as it has to be",
            "MAILMILL_REDIS_URL": self.valkey.url,
        }
        self.run("manage.py", "migrate", "--verbosity", "0")
        self.names = json.loads(self.run("-m", "tests.state.dashboard.browser_scene", "fill"))
        self.start()

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        output = self.folder / "web.log"
        output.unlink(missing_ok=True)
        self.web = ChildProcess(
            [
                sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(self.port),
                "--host", "127.0.0.1", "mta.wsgi:application",
            ],
            output=output, env=self.environment, cwd=ROOT,
        )  # fmt: skip
        self.web.wait_for_log("Started worker-1", 30)

    def more(self) -> None:
        self.run("-m", "tests.state.dashboard.browser_scene", "more")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages")
    valkey = start_valkey(folder / "valkey")
    site = Site(folder, valkey)
    yield site
    site.web.kill()
    valkey.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS) as browser,
    ):
        yield browser


class Visitor:
    """One person's browser window, and everything that went wrong in it."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site, self.page = site, page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: (
                self.wrong.append(f"{page.url}: {said.text}") if said.type == "error" else None
            ),
        )

    def log_in(self, name: str) -> None:
        self.page.goto(self.site.url("/queues/"))
        assert "/admin/login/" in self.page.url
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("button[type=submit]")
        expect(self.page).to_have_url(self.site.url("/queues/"))

    def visit(self, path: str, status: int = 200) -> str:
        answer = self.page.goto(self.site.url(path))
        assert answer is not None
        assert answer.status == status, path
        return self.page.content()


@pytest.fixture
def visitor(site: Site, browser: Browser) -> Iterator[Callable[[str], Visitor]]:
    """Opens a window and logs in; at the end nothing may have gone wrong in any window."""
    opened: list[Visitor] = []

    def open_window(name: str) -> Visitor:
        window = Visitor(site, browser.new_context().new_page())
        opened.append(window)
        if name:
            window.log_in(name)
        return window

    yield open_window
    for window in opened:
        window.page.context.close()
    assert [one for window in opened for one in window.wrong] == []


def test_an_operator_opens_every_page(site: Site, visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    message, recipient = site.names["acme_message"], site.names["acme_recipient"]
    for path in (
        "/", "/queues/", "/queues/?sort=domain", "/queues/acme-customer.test/",
        f"/messages/{message}/", f"/recipients/{recipient}/", "/search/", "/search/?q=nothing",
        "/search/?q=anna@acme-customer.test", "/admin/", "/metrics", "/livez", "/readyz",
        "/warmup/", "/warmup/simulate/",
    ):  # fmt: skip
        operator.visit(path)
    for table in LISTS:
        text = operator.visit(f"/admin/{table}/")
        assert "No data" not in text or "acme" not in text
        if table not in READ_ONLY:
            operator.visit(f"/admin/{table}/add/")
    operator.visit("/admin/tenants/tenant/1/change/")
    operator.visit("/admin/egress/pool/1/change/")


def test_the_front_page_of_a_stranger_leads_to_the_login(
    visitor: Callable[[str], Visitor],
) -> None:
    stranger = visitor("")
    text = stranger.visit("/")
    assert "acme" not in text
    for link in ("/queues/", "/admin/", "/flower/", "/api/docs", "/readyz"):
        assert stranger.page.locator(f'a[href="{link}"]').count() == 1, link
    stranger.page.click("text=Sign in")
    expect(stranger.page.locator("input[name=username]")).to_be_visible()


def test_the_queue_page_refreshes_itself(site: Site, visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    operator.visit("/queues/")
    row = operator.page.locator("#queues tbody tr", has_text="acme-customer.test")
    waiting = row.locator("[data-waiting]")
    before = int(waiting.inner_text())
    operator.page.evaluate("window.neverReloaded = true")
    site.more()
    expect(waiting).to_have_text(str(before + 4), timeout=20_000)
    assert operator.page.evaluate("window.neverReloaded") is True
    operator.visit("/queues/acme-customer.test/")
    lane = operator.page.locator("[data-waiting]").first
    before = int(lane.inner_text())
    site.more()
    expect(lane).to_have_text(str(before + 4), timeout=20_000)


def test_sorting_and_finding(visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    operator.visit("/queues/?sort=-waiting")
    operator.page.click("th >> text=Domain")
    first = operator.page.locator("#queues tbody tr").first
    expect(first).to_contain_text("acme-customer.test")
    operator.page.click("th >> text=Domain")
    expect(operator.page.locator("#queues tbody tr").first).to_contain_text("globex-customer.test")
    operator.page.select_option("select[name=tenant]", label="acme")
    expect(operator.page.locator("#queues")).not_to_contain_text("globex-customer.test")
    operator.page.fill(".mm-search input", "globex-customer.test")
    operator.page.press(".mm-search input", "Enter")
    expect(operator.page).to_have_url(operator.site.url("/queues/globex-customer.test/"))
    operator.page.fill(".mm-search input", operator.site.names["acme_message"])
    operator.page.press(".mm-search input", "Enter")
    expect(operator.page.locator(".mm-title")).to_have_text("Letter of acme")


def test_a_marketer_stays_in_the_tenant(site: Site, visitor: Callable[[str], Visitor]) -> None:
    marketer = visitor("mark")
    for path in ("/", "/queues/", "/admin/", *(f"/admin/{one}/" for one in LISTS[:6])):
        assert "globex" not in marketer.visit(path), path
    assert "acme-customer.test" in marketer.visit("/queues/")
    assert "Letter of acme" in marketer.visit(f"/messages/{site.names['acme_message']}/")
    # The browser reports a page that is not there as an error of the console; here it is wanted.
    for path in (
        f"/messages/{site.names['globex_message']}/",
        f"/recipients/{site.names['globex_recipient']}/",
        "/queues/globex-customer.test/",
    ):
        assert "globex" not in marketer.visit(path, status=404)
    marketer.visit("/admin/tenants/user/", status=403)
    marketer.wrong = [one for one in marketer.wrong if "404" not in one and "403" not in one]


def test_a_live_page_goes_to_the_login_when_the_session_ends(
    visitor: Callable[[str], Visitor],
) -> None:
    operator = visitor("olga")
    operator.visit("/queues/")
    operator.page.context.clear_cookies()
    expect(operator.page.locator("input[name=username]")).to_be_visible(timeout=20_000)
    assert "next=" in operator.page.url
    operator.wrong = [one for one in operator.wrong if "401" not in one and "Response" not in one]


def test_a_page_says_when_the_server_is_gone(site: Site, visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    operator.visit("/queues/")
    pulse = operator.page.locator("[data-pulse]")
    expect(pulse).to_have_text("live")
    site.web.kill()
    expect(pulse).to_have_text("no answer, trying again", timeout=20_000)
    site.start()
    expect(pulse).to_have_text("live", timeout=20_000)
    operator.wrong.clear()


def test_a_secret_is_shown_to_its_maker(visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    operator.visit("/admin/tenants/apikey/add/")
    operator.page.click(".select2-selection")
    operator.page.click(".select2-results__option >> text=acme")
    operator.page.fill("input[name=name]", "web shop")
    operator.page.click("button[name=_save]")
    expect(operator.page.locator(".mm-secret")).to_have_text(re.compile(r"^mm_[\w-]{40,}$"))
    operator.page.reload()
    expect(operator.page.locator(".mm-secret")).to_have_count(0)


def test_a_warmup_is_played_and_drawn(visitor: Callable[[str], Visitor]) -> None:
    operator = visitor("olga")
    operator.visit("/warmup/simulate/")
    operator.page.select_option("select[name=schedule]", "own")
    operator.page.fill("input[name=stages]", "50, 2, 5")
    operator.page.fill("input[name=campaign]", "1000")
    operator.page.fill("input[name=volume]", "0")
    operator.page.uncheck("input[name=overflow]")
    operator.page.fill("input[name=days]", "0")
    operator.page.click("#plan button")
    expect(operator.page.locator(".mm-sum")).to_contain_text("The campaign ends on day")
    drawn = "() => Chart.getChart(document.querySelector('canvas.chart')).data.labels.length"
    assert operator.page.evaluate(drawn) == operator.page.locator("#days tbody tr").count() / 3
