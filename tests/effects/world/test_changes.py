"""A test can change a site while it runs: down and up, silent, held, cut off."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.effects.world.sender import MESSAGE, SENDER, connect, deliver, send
from tests.services.processes import wait_until
from tests.world.client import World

DOMAIN = "accepts.demo.test"


def test_site_goes_down_and_comes_back(world):
    session = connect(world, DOMAIN)
    session.ehlo()
    world.set_behaviour(DOMAIN, "down")
    assert deliver(world, f"a@{DOMAIN}") == "refused"
    with pytest.raises(OSError):
        session.noop()
    session.close()
    world.set_behaviour(DOMAIN, "accept")
    assert deliver(world, f"a@{DOMAIN}").startswith("250")


def test_hold_after_dot_has_accepted_but_not_said_so(world):
    world.set_behaviour(DOMAIN, "hold_after_dot")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(deliver, world, f"a@{DOMAIN}")
        world.wait_for_recipients([f"a@{DOMAIN}"], 5)
        assert not sending.done()
        assert world.site(DOMAIN).held == 1
        assert world.release(DOMAIN) == 1
        assert sending.result(5).startswith("250")
    assert world.times_accepted() == {f"a@{DOMAIN}": 1}


def test_hold_without_record_accepts_on_release(world):
    world.set_behaviour(DOMAIN, "hold_after_dot", records=False)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(deliver, world, f"a@{DOMAIN}")
        wait_until(lambda: world.site(DOMAIN).held, 5, "a held connection")
        assert world.accepted() == []
        world.set_behaviour(DOMAIN, "accept")
        assert sending.result(5).startswith("250")
    assert len(world.accepted()) == 1


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_hold_at_any_stage_goes_on_when_released(world, stage):
    world.set_behaviour(DOMAIN, "accept", action="hold", stage=stage)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(deliver, world, f"a@{DOMAIN}")
        wait_until(lambda: world.site(DOMAIN).held, 5, "a held connection")
        assert world.accepted() == []
        world.release(DOMAIN)
        assert sending.result(5).startswith("250")


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
def test_reply_at_any_stage(world, stage):
    world.set_behaviour(DOMAIN, "reject", stage=stage, reply="421 4.3.2 Going down", times=1)
    assert deliver(world, f"a@{DOMAIN}").startswith("421")
    assert world.site(DOMAIN).refusals == {f"{stage} 421": 1}
    assert deliver(world, f"a@{DOMAIN}").startswith("250")
    assert len(world.accepted()) == 1


def test_accept_then_drop_is_a_duplicate_for_who_tries_again(world):
    world.set_behaviour(DOMAIN, "accept_then_drop")
    assert deliver(world, f"a@{DOMAIN}") == "dropped"
    assert deliver(world, f"a@{DOMAIN}").startswith("250")
    assert world.times_accepted() == {f"a@{DOMAIN}": 2}
    assert world.duplicates() == {(f"a@{DOMAIN}", "<1@sender.test>"): 2}


def test_sender_killed_between_dot_and_250_has_lost_nothing(world):
    world.set_behaviour(DOMAIN, "hold_after_dot")
    code = (
        "import smtplib, sys; s = smtplib.SMTP(sys.argv[1], int(sys.argv[2]));"
        f"s.sendmail({SENDER!r}, 'a@{DOMAIN}', {MESSAGE!r})"
    )
    words = [sys.executable, "-c", code, "127.77.1.1", str(world.smtp_port)]
    with subprocess.Popen(words) as sender:
        world.wait_for_recipients([f"a@{DOMAIN}"], 10)
        sender.kill()
    wait_until(lambda: not world.site(DOMAIN).open, 5, "the end of the connection")
    assert world.site(DOMAIN).held == 0
    assert world.times_accepted() == {f"a@{DOMAIN}": 1}


def test_too_many_connections(world):
    world.set_behaviour(DOMAIN, "limit_connections", max_connections=1)
    with connect(world, DOMAIN, "127.0.0.5") as first:
        assert deliver(world, f"a@{DOMAIN}").startswith("421")
        assert send(first, f"a@{DOMAIN}").startswith("250")
    assert world.site(DOMAIN).peak == {"127.0.0.5": 1, "127.0.0.1": 1}


def test_site_added_while_it_runs(world):
    hosts = ["alt1.aspmx.l.google.com", "aspmx.l.google.com"]
    first, second = world.add_site("gmail.com", "full", hosts, times=1)
    assert first != second
    assert deliver(world, "a@gmail.com").startswith("452")
    assert deliver(world, "a@gmail.com").startswith("250")
    world.reset()
    with pytest.raises(RuntimeError, match=r"no site gmail\.com"):
        world.set_behaviour("gmail.com", "accept")


def test_one_site_takes_mail_for_other_domains(world):
    (address,) = world.add_site("hoster.test", also=["customer.test"])
    for domain in ("customer.test", "stranger.test"):
        world.set_records(domain, "MX", "10 mx1.hoster.test")
    assert deliver(world, "a@customer.test").startswith("250")
    assert deliver(world, "a@stranger.test").startswith("550 5.7.1")
    assert [(one.domain, one.mx_address) for one in world.accepted()] == [
        ("customer.test", address)
    ]


def test_nonsense_is_refused_by_name(world):
    with pytest.raises(RuntimeError, match="no behaviour 'sulk'"):
        world.set_behaviour(DOMAIN, "sulk")
    with pytest.raises(RuntimeError, match="no option colour"):
        world.set_behaviour(DOMAIN, "accept", colour="red")
    with pytest.raises(RuntimeError, match="'lunch' is none of"):
        world.set_behaviour(DOMAIN, "reject", stage="lunch")


def test_ready_file_lets_others_watch(tmp_path):
    with World.start(tmp_path) as world:
        assert deliver(world, f"a@{DOMAIN}").startswith("250")
        other = World.attach(tmp_path / "ready.json")
        assert [one.recipient for one in other.accepted()] == [f"a@{DOMAIN}"]
        other.stop()
        assert world.child is not None
        assert world.child.running


def test_world_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.world.client import World;"
        "World.start(Path(sys.argv[1])); print('up', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        other = World.attach(tmp_path / "ready.json")
        owner.kill()
    # A process that ends with something unread resets its connections: that is an end as well.
    with suppress(ConnectionResetError):
        wait_until(lambda: other.file.read(1) == b"", 10, "the end of the world")
    other.stop()
    assert (tmp_path / "world.log").read_text()
