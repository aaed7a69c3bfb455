"""Starts the programs in order, starts them again when they end, stops them in order."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Mapping, Sequence

from mta.supervise.backoff import next_restart
from mta.supervise.broker import answers_ping
from mta.supervise.child import Child, describe
from mta.supervise.console import Console
from mta.supervise.doors import open_ports
from mta.supervise.program import PATIENCE, Program, StartOrder, StopOrder
from mta.supervise.signals import STOPS, received, signal_pipe

#: Seconds from the order to stop to the SIGKILL of what remains.
STOP_WITHIN = 9.0
#: Seconds for the broker to load its file, and for the schema to be migrated.
START_WITHIN = 600.0
#: Seconds between two looks at something that gives no sign by itself.
LOOK_AGAIN = 0.1
IDLE_TURN = 60.0
#: A second Ctrl-C kills at once; the same one arriving twice (terminal and make) does not.
SAME_SIGNAL_WITHIN = 1.0


class StartFailed(Exception):
    """A program that others need did not come up; the message says which and why."""


class Supervisor:
    """Runs `programs` until a signal; `on_up` gives the lines said once every door answers."""

    def __init__(
        self,
        programs: Sequence[Program],
        console: Console,
        *,
        environment: Mapping[str, str],
        on_up: Callable[[], str] = lambda: "up",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.programs = programs
        self.console = console
        self.environment = environment
        self.on_up = on_up
        self.clock = clock
        self.children: dict[int, Child] = {}
        self.failures = {program.name: 0 for program in programs}
        #: Programs that wait for their restart, and the clock's time of it.
        self.due: dict[Program, float] = {}
        self.finished: set[Program] = set()
        self.stop_asked_at: float | None = None
        self.hurry = False
        self.selector = selectors.PollSelector()  # unlike epoll it takes a file as terminal too
        self.pipe = -1

    def run(self) -> int:
        """0 after a stop by signal, 1 when the start failed; nothing runs any more in any case."""
        with signal_pipe() as self.pipe:
            self.selector.register(self.pipe, selectors.EVENT_READ)
            code = 0
            try:
                self.bring_up()
                while not self.stopping:
                    self.turn(IDLE_TURN)
            except StartFailed as failure:
                self.console.say(str(failure))
                code = 1
            finally:
                self.stop()
                self.console.close()
                self.selector.close()
        return code

    @property
    def stopping(self) -> bool:
        return self.stop_asked_at is not None

    # Start

    def bring_up(self) -> None:
        begun_at = self.clock()
        for order in StartOrder:
            group = [
                program
                for program in self.programs
                if program.start_order == order and not program.at_stop
            ]
            for program in group:
                try:
                    self.start(program)
                except OSError as error:
                    raise StartFailed(f"{program.name}: cannot start: {error}") from None
            self.await_ready(group)
            if self.stopping:
                return
        doors = {door for program in self.programs for door in program.doors}
        while doors and not self.stopping:
            ports = open_ports()
            doors = {door for door in doors if door.port not in ports}
            self.turn(LOOK_AGAIN if doors else 0.0)
        if not self.stopping:
            self.console.say(f"{self.on_up()}\nup after {self.clock() - begun_at:.1f} s")

    def await_ready(self, group: Sequence[Program]) -> None:
        """Turn until all are ready; StartFailed when one of them ends or time is up."""
        deadline = self.clock() + START_WITHIN
        while not self.stopping:
            late = [program.name for program in group if not self.is_ready(program)]
            if not late:
                return
            if self.clock() > deadline:
                raise StartFailed(f"{', '.join(late)}: not ready within {START_WITHIN:.0f} s")
            self.turn(LOOK_AGAIN)

    def is_ready(self, program: Program) -> bool:
        if program.once:
            return program in self.finished
        if program.ready_socket is not None:
            return answers_ping(program.ready_socket)
        return True

    def start(self, program: Program) -> None:
        """OSError when the system has no process for it or its file is not there."""
        child = Child(program, self.environment, self.clock())
        self.children[child.pid] = child
        self.selector.register(child.output, selectors.EVENT_READ, child)

    # The loop

    def turn(self, seconds: float) -> None:
        """Wait up to `seconds` for something to happen and deal with all that has."""
        wait = min([seconds, *(at - self.clock() for at in self.due.values())])
        self.watch_terminal()
        for key, _ in self.selector.select(max(wait, 0.0)):
            if key.fd == self.pipe:
                self.heed(received(self.pipe))
            elif isinstance(key.data, Child):
                self.show(key.data)
        self.console.flush()
        self.reap()
        if not self.stopping:
            self.restart_due()

    def watch_terminal(self) -> None:
        """Wake up for the terminal only while there is something to write."""
        watched = self.console.descriptor in self.selector.get_map()
        wanted = bool(self.console.waiting)
        if wanted and not watched:
            self.selector.register(self.console.descriptor, selectors.EVENT_WRITE)
        elif watched and not wanted:
            self.selector.unregister(self.console.descriptor)

    def show(self, child: Child) -> None:
        for line in child.lines():
            self.console.line(child.program.name, line)

    def heed(self, numbers: set[int]) -> None:
        if numbers.isdisjoint(STOPS):
            return
        now = self.clock()
        if self.stop_asked_at is None:
            self.stop_asked_at = now
        elif now - self.stop_asked_at > SAME_SIGNAL_WITHIN:
            self.hurry = True

    def reap(self) -> None:
        """Everything that has ended; as process 1 of a container that includes orphans."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, options)
            except ChildProcessError:
                return
            if ended is None:
                return
            child = self.children.pop(ended.si_pid, None)
            if child is None:
                os.waitpid(ended.si_pid, 0)
            else:
                self.bury(child)

    def bury(self, child: Child) -> None:
        self.selector.unregister(child.output)
        code, rest = child.reap()
        program = child.program
        for line in rest:
            self.console.line(program.name, line)
        if self.stopping:
            if program.at_stop and code:
                self.console.say(f"{program.name} failed with {describe(code)}")
            return
        if program.once and code == 0:
            self.finished.add(program)
        elif program.start_order != StartOrder.REST and not self.was_ready(program):
            raise StartFailed(f"{program.name} failed with {describe(code)}: see its lines above")
        else:
            ran_for = self.clock() - child.started_at
            reason = f"(process {child.pid}) ended with {describe(code)}"
            self.plan_restart(program, reason, ran_for=ran_for)

    def was_ready(self, program: Program) -> bool:
        """Did the start get past this program?"""
        return not program.once and any(
            child.program.start_order > program.start_order for child in self.children.values()
        )

    def plan_restart(self, program: Program, reason: str, *, ran_for: float) -> None:
        restart = next_restart(self.failures[program.name], ran_for=ran_for)
        self.failures[program.name] = restart.failures
        self.due[program] = self.clock() + restart.after
        self.console.say(f"{program.name} {reason}; starting it again in {restart.after:.0f} s")

    def restart_due(self) -> None:
        now = self.clock()
        for program in [program for program, at in self.due.items() if at <= now]:
            del self.due[program]
            try:
                self.start(program)
            except OSError as error:  # out of memory or processes: the others go on
                self.plan_restart(program, f"cannot start: {error}", ran_for=0.0)

    # Stop

    def stop(self) -> None:
        """Tell the programs order by order; kill what remains after STOP_WITHIN seconds."""
        if self.stop_asked_at is None:
            self.stop_asked_at = self.clock()
        begun_at = self.stop_asked_at
        self.console.say("stopping; a second Ctrl-C kills at once")
        was_up = StopOrder.WORKERS in {one.program.stop_order for one in self.children.values()}
        for order in StopOrder:
            for child in self.children_of(order):
                child.terminate()
            if was_up:
                self.start_stop_steps(order)
            deadline = min(self.clock() + PATIENCE[order], begun_at + STOP_WITHIN)
            self.await_end(self.children_of(order), deadline)
        self.await_end(list(self.children.values()), begun_at + STOP_WITHIN)
        self.kill_rest()
        self.console.say(f"stopped after {self.clock() - begun_at:.1f} s")

    def children_of(self, order: StopOrder) -> list[Child]:
        return [one for one in self.children.values() if one.program.stop_order == order]

    def start_stop_steps(self, order: StopOrder) -> None:
        for program in self.programs:
            if program.at_stop and program.stop_order == order and not self.hurry:
                try:
                    self.start(program)
                except OSError as error:  # the stop goes on without it
                    self.console.say(f"{program.name}: cannot start: {error}")

    def await_end(self, group: Sequence[Child], deadline: float) -> None:
        while any(child.pid in self.children for child in group):
            left = deadline - self.clock()
            if left <= 0 or self.hurry:
                return
            self.turn(left)

    def kill_rest(self) -> None:
        if self.children:
            names = ", ".join(child.program.name for child in self.children.values())
            self.console.say(f"killing what has not ended: {names}")
        for child in self.children.values():
            child.kill()
        while self.children:
            self.turn(LOOK_AGAIN)
