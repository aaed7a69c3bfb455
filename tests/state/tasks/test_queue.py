"""The order in which one tenant's lanes come."""

from mta.spool.due import DueLane
from mta.spool.lanes import BULK, ENGAGED, TRANSACTIONAL
from tasks.turns import Queue


def lane(number: int, priority: int) -> DueLane:
    return DueLane(number, 1, 1, "x.test", "", priority, 100)


def test_engaged_recipients_come_before_other_bulk_mail_also_when_they_come_again() -> None:
    queue = Queue()
    for one in (lane(1, BULK), lane(2, ENGAGED), lane(3, TRANSACTIONAL), lane(4, ENGAGED)):
        queue.add(one)
    assert [one.id for one in queue.urgent] == [3]
    assert [one.id for one in queue.other] == [2, 4, 1]
    again = queue.other.popleft()
    queue.add(again)
    assert [one.id for one in queue.other] == [4, 2, 1]
