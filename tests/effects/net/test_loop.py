"""A loop in a thread, used from other threads and left behind by a fork."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
import uvloop

from mta.net.loop import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("test-net")
    thread.start()
    yield thread
    thread.stop()


async def echo(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_many_threads_run_in_one_uvloop(loop):
    async def where() -> tuple[str, bool]:
        return threading.current_thread().name, isinstance(asyncio.get_running_loop(), uvloop.Loop)

    assert loop.run(where()) == ("test-net", True)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda i: loop.run(echo(i)), range(200))) == list(range(200))


def test_exceptions_come_through(loop):
    async def fail() -> None:
        raise LookupError("this one")

    with pytest.raises(LookupError, match="this one"):
        loop.run(fail())


def test_starting_twice_is_starting_once(loop):
    before = threading.active_count()
    loop.start()
    assert threading.active_count() == before
    assert loop.running


def test_stop_cancels_what_runs_and_the_waiting_thread_hears_of_it(loop):
    started, cleaned = threading.Event(), threading.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(loop.run, hang())
        started.wait()
        loop.stop()
        assert cleaned.is_set()
        with pytest.raises(CancelledError):
            waiting.result(5)
    assert not loop.running
    with pytest.raises(RuntimeError, match="not running"):
        loop.run(echo(1))
    loop.start()
    assert loop.run(echo(2)) == 2


def test_a_call_waits_for_nothing_and_needs_a_loop(loop):
    called = threading.Event()
    seen: list[tuple[str, int]] = []

    def note(number: int) -> None:
        seen.append((threading.current_thread().name, number))
        called.set()

    loop.call(note, 7)
    assert called.wait(10)
    assert seen == [("test-net", 7)]
    loop.stop()
    with pytest.raises(RuntimeError, match="not running"):
        loop.call(note, 8)


def test_running_from_the_loop_itself_is_refused_instead_of_waiting_for_ever(loop):
    async def inner() -> int:
        return loop.run(echo(1))

    with pytest.raises(RuntimeError, match="is the caller"):
        loop.run(inner())


def test_a_forked_child_starts_its_own(loop):
    assert loop.run(echo(1)) == 1
    child = os.fork()
    if child == 0:
        status = 1
        try:
            alone = not loop.running
            loop.start()
            status = 0 if alone and loop.run(echo(3)) == 3 else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert loop.run(echo(2)) == 2
