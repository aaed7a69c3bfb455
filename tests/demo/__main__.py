"""`make demo`: brings everything up, sends 1,020 messages, and shows what became of them.

Exit codes: 0 every recipient came to what its receiver stands for (with DEMO_EXIT=1 at once, else
after Ctrl-C); 1 it did not, or something did not start; 130 Ctrl-C before the outcome was there.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from mta.supervise.folder_lock import FolderLock
from mta.supervise.refusal import StartRefused
from tests.demo import environment, injection, report
from tests.demo.cast import Senders
from tests.demo.outcome import Fate, Line, judge
from tests.demo.progress import Progress
from tests.services.processes import ChildProcess
from tests.world.cast import Role, campaign
from tests.world.client import World

START_SECONDS = 90.0
OUTCOME_SECONDS = 180.0
STOP_SECONDS = 15.0
LOOK_AGAIN = 0.25


class DemoFailed(Exception):
    """What went wrong, and where to look."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe shows it live
    folder = environment.FOLDER
    try:
        fresh(folder)
        with World.start(folder / "world") as world:
            os.environ.update(prepare(world, folder))
            return with_stack(world, folder)
    except (DemoFailed, StartRefused, injection.NotInjected) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped before the outcome was there", file=sys.stderr)
        return 130


def fresh(folder: Path) -> None:
    """An empty folder; StartRefused when a demo runs in it."""
    with FolderLock(folder):
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def prepare(world: World, folder: Path) -> dict[str, str]:
    """The environment of the stack and of this process; receivers for mail that comes back."""
    chosen = environment.settings(folder, dns=world.dns, smtp_port=world.smtp_port)
    kept = environment.clean(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    for domain in ("gazette.example", "shop.example"):
        world.add_site(domain)
    return {**chosen, "DJANGO_SETTINGS_MODULE": "mta.settings"}


def with_stack(world: World, folder: Path) -> int:
    begun = time.monotonic()
    print("starting the stack: database, Valkey, web, SMTP, dispatch, four workers, beat, Flower")
    up = ChildProcess(
        [sys.executable, "manage.py", "up"], output=folder / "up.log", cwd=environment.ROOT
    )
    try:
        http = os.environ["MAILMILL_HTTP_BIND"]
        wait_until_ready(up, http)
        print(f"up after {time.monotonic() - begun:.1f} s: http://{http}/")
        senders = make_senders()
        planned = inject(senders)
        lines = watch(world, planned, up, begun)
        good = not any(line.faults for line in lines)
        show(world, lines, good, time.monotonic() - begun)
        if not os.environ.get("DEMO_EXIT"):
            stay(up, senders)
        return 0 if good else 1
    finally:
        stop(up)


def wait_until_ready(up: ChildProcess, http: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"http://{http}/readyz"):
        if not up.running:
            raise DemoFailed(f"the stack did not start: {up}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"the stack was not ready after {START_SECONDS:.0f} s: {up}")
        time.sleep(LOOK_AGAIN)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def make_senders() -> Senders:
    """Django is set up only now: the settings come from the environment made above."""
    import django

    django.setup()
    from tests.demo import senders

    return senders.make()


def inject(senders: Senders) -> list[tuple[Role, str]]:
    """Everything that was sent, each recipient with its role."""
    planned = campaign(injection.CAMPAIGN)
    singles = injection.single_recipients()
    begun = time.monotonic()
    injection.by_api(
        os.environ["MAILMILL_HTTP_BIND"], senders.gazette, [address for _, address in planned]
    )
    print(f"campaign of {len(planned)} recipients by API: {time.monotonic() - begun:.2f} s")
    begun = time.monotonic()
    injection.by_smtp(os.environ["MAILMILL_SUBMISSION_BIND"], senders.shop, singles)
    print(f"{len(singles)} messages by SMTP: {time.monotonic() - begun:.2f} s")
    roles = {role.domain: role for role, _ in planned}
    return planned + [(roles[address.rpartition("@")[2]], address) for address in singles]


def watch(
    world: World, planned: list[tuple[Role, str]], up: ChildProcess, begun: float
) -> list[Line]:
    """Show the progress until every recipient is in a final state or time is up."""
    from mta.policy.lifecycle import FINAL
    from tests.demo import spool

    progress = Progress(begun)
    blocking = {role.domain for role, _ in planned if role.blocks}
    deadline = time.monotonic() + OUTCOME_SECONDS
    while True:
        states = spool.states()
        progress.show(states)
        fates = [Fate(*values) for values in spool.fates()]
        done = sum(fate.state in FINAL or (fate.state == spool.WAITING and fate.domain in blocking)
                   for fate in fates)  # fmt: skip
        if done >= len(planned) or time.monotonic() > deadline:
            break
        if not up.running:
            raise DemoFailed(f"the stack ended: {up}")
        time.sleep(LOOK_AGAIN)
    progress.end()
    return judge(planned, fates, world.times_accepted())


def show(world: World, lines: list[Line], good: bool, seconds: float) -> None:
    sent = sum(line.expected for line in lines)
    own = {line.role.domain for line in lines}
    accepted = world.accepted()
    returned = sum(one.domain not in own for one in accepted)
    print(f"\n{report.outcomes(lines)}\n")
    print(f"{report.sources([one for one in accepted if one.domain in own])}\n")
    print(f"{returned} delivery reports (DSN) went back to the senders")
    verdict = "all as expected" if good else "NOT as expected"
    print(f"{sent} recipients, {verdict}, {seconds:.1f} s after the start of the stack")


def stay(up: ChildProcess, senders: Senders) -> None:
    """Until Ctrl-C."""
    http = os.environ["MAILMILL_HTTP_BIND"]
    print(f"""
The stack stays up until Ctrl-C:
  dashboard  http://{http}/admin/   user {senders.admin}, password {senders.admin_password}
  queues     http://{http}/queues/
  Flower     http://{http}/flower/
  API        http://{http}/api/docs   key {senders.gazette.api_key}
  SMTP       {os.environ["MAILMILL_SUBMISSION_BIND"]}  user {senders.shop.smtp_username}, \
password {senders.shop.smtp_password}
  log        {up.output}""")
    try:
        while up.running:
            time.sleep(LOOK_AGAIN)
    except KeyboardInterrupt:
        print()
        return
    raise DemoFailed(f"the stack ended: {up}")


def stop(up: ChildProcess) -> None:
    """Politely, as an operator would; a second Ctrl-C kills."""
    print("stopping the stack", flush=True)
    try:
        up.terminate(STOP_SECONDS)
    finally:
        up.kill()


if __name__ == "__main__":
    sys.exit(main())
