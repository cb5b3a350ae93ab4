"""What transactions see of each other."""

from sqlalchemy import func, select

from partage.model.member import MemberStatus
from partage.records import members
from partage.records.database import Database
from partage.records.tables import images
from tests.contract.records_worlds import START, Share, build, caller, empty, image

COUNT = select(func.count()).select_from(images)


def test_reader_sees_one_state_of_the_database(database: Database) -> None:
    empty(database)
    shared = image(1)
    with database.read() as reader:
        assert reader.execute(COUNT).scalar_one() == 0
        with database.write() as tx:
            build(tx, [shared], [Share(shared, "B", MemberStatus.PENDING)])
        assert reader.execute(COUNT).scalar_one() == 0
        assert members.list_members(reader, caller("B"), shared.id, now=START) == []
    with database.read() as reader:
        assert reader.execute(COUNT).scalar_one() == 1
    empty(database)


def test_writer_sees_what_was_committed_before_each_statement(database: Database) -> None:
    """On PostgreSQL and MariaDB a writer waits for locks, and then decides on what the others have left."""
    empty(database)
    if database.dialect != "sqlite":
        with database.write() as waiting:
            assert waiting.execute(COUNT).scalar_one() == 0
            with database.write() as tx:
                build(tx, [image(1)])
            assert waiting.execute(COUNT).scalar_one() == 1
    else:
        with database.write() as tx:
            build(tx, [image(1)])
        with database.write() as next_one:
            assert next_one.execute(COUNT).scalar_one() == 1
    empty(database)
