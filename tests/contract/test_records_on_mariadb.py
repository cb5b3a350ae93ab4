"""What MariaDB does in a way of its own. PARTAGE_TEST_DATABASES=mariadb runs all suites of records on it (make mariadb)."""

import gc
import re
import threading
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymysql
import pytest
import sqlalchemy
from sqlalchemy import event

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Visibility
from partage.model.member import MemberStatus
from partage.model.query import ImageQuery, SortKey
from partage.records import cache, claim_failures, images, mariadb, paging, projects, schema
from partage.records.database import Database
from partage.records.tables import image_tags, metadata, metadef_definitions, metadef_namespaces, project_locks
from tests import mariadb as servers
from tests.contract import test_records_contents, test_records_events, test_records_members, test_records_transactions
from tests.contract.records_worlds import START, Share, build, caller, empty, image, undone

WORDS = ("B", "a", "a ", "A", "Z", "e\u0301", "\u00e9", "\uffff", "\U0001f600")
"""Equal by the rules of some collation: in case, in a space at the end, or composed in another way."""

UNDONE = "Another change came in between, and this one was undone; try again in a few seconds"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.server() as found:
        yield found


@pytest.fixture(scope="module")
def shared_database(url: str) -> Iterator[Database]:
    database = Database(url)
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def database(shared_database: Database) -> Iterator[Database]:
    yield shared_database
    empty(shared_database)


def make_database(url: str, name: str) -> str:
    parsed = sqlalchemy.make_url(url)
    servers.ask(parsed.query["unix_socket"], f"CREATE DATABASE {name} CHARACTER SET latin1")  # type: ignore[arg-type]
    return parsed.set(database=name).render_as_string(hide_password=False)


def describe(database: Database) -> list[str]:
    with database.read() as tx:
        made = [tx.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()[1] for name in sorted(metadata.tables)]
    return [re.sub(r" AUTO_INCREMENT=\d+", "", each) for each in made]


def test_tables_compare_letters_exactly_whatever_the_database_says(url: str) -> None:
    database = Database(make_database(url, "latin"))
    schema.upgrade(database)
    schema.require_current(database)
    made = describe(database)
    database.close()
    assert all("ENGINE=InnoDB" in each and "utf8mb4_nopad_bin" in each for each in made)
    assert not any("latin1" in each for each in made)


@pytest.mark.parametrize("statements", [3, 70])
def test_upgrade_that_was_interrupted_is_started_again(url: str, statements: int, shared_database: Database) -> None:
    class Interrupted(Exception):
        pass

    left = statements

    def interrupt(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        nonlocal left
        if not text.lstrip().startswith(("CREATE", "ALTER", "DROP", "INSERT", "UPDATE")):
            return
        left -= 1
        if left == 0:
            raise Interrupted

    database = Database(make_database(url, f"interrupted_{statements}"))
    event.listen(database._engine, "before_cursor_execute", interrupt)  # noqa: SLF001
    with pytest.raises(Interrupted):
        schema.upgrade(database)
    schema.upgrade(database)
    schema.require_current(database)
    made = describe(database)
    database.close()
    assert made == describe(shared_database)


def test_session_is_strict_whatever_the_server_says(url: str) -> None:
    socket: Any = sqlalchemy.make_url(url).query["unix_socket"]
    servers.ask(
        socket, "SET GLOBAL sql_mode = ''; SET GLOBAL time_zone = '+05:00'; SET GLOBAL collation_server = latin1_swedish_ci"
    )
    database = Database(url, connections=1)
    with database.read() as tx:
        mode, zone, collation, level = tx.exec_driver_sql(
            "SELECT @@sql_mode, @@time_zone, @@collation_connection, @@tx_isolation"
        ).one()
    with database.write() as tx:
        assert tx.exec_driver_sql("SELECT @@tx_isolation").scalar_one() == "READ-COMMITTED"
    database.close()
    assert "STRICT_ALL_TABLES" in mode
    assert (zone, collation, level) == ("+00:00", "utf8mb4_nopad_bin", "REPEATABLE-READ")


@pytest.mark.parametrize(
    ("greeting", "answer", "words"),
    [
        ("8.0.36", "8.0.36", "is 8.0.36, which is no MariaDB; Partage needs MariaDB 10.6 or later"),
        ("5.5.5-10.3.39-MariaDB-log", "", "is MariaDB 10.3.39; Partage needs MariaDB 10.6 or later"),
    ],
)
def test_server_of_another_kind_or_age_is_refused(greeting: str, answer: str, words: str) -> None:
    with pytest.raises(problems.DatabaseUnavailable, match=words):
        mariadb._find_version(greeting, Answering(answer))  # noqa: SLF001


def test_server_behind_a_proxy_is_known_by_its_answer() -> None:
    assert mariadb._find_version("8.0.30 (proxy)", Answering("11.4.2-MariaDB-deb12")) == (11, 4, 2)  # noqa: SLF001


class Answering:
    """A cursor of a server with another version."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def execute(self, statement: str) -> None:
        assert statement == "SELECT version()"

    def fetchone(self) -> tuple[str]:
        return (self._answer,)


def test_letters_that_look_alike_are_different(database: Database) -> None:
    query = ImageQuery(limit=50, sort=(SortKey("name", descending=False), SortKey("id", descending=False)))
    with undone(database) as tx:
        build(tx, [image(number, owner=word, name=word, tags=WORDS) for number, word in enumerate(WORDS, 1)])
        tagged = tx.execute(sqlalchemy.select(image_tags.c.tag).where(image_tags.c.tag == "a").distinct()).scalars().all()
        assert tagged == ["a"]
        for word in WORDS:
            found = images.page(tx, caller(word), query, after=None, most_bytes=1 << 20, now=START)
            assert [each.name for each in found.images] == [word]
        everything = ImageQuery(limit=50, sort=query.sort, all_visibilities=True)
        listed = images.page(tx, caller("x", is_admin=True), everything, after=None, most_bytes=1 << 20, now=START).images
    assert [each.name for each in listed] == sorted(WORDS)


def test_window_of_failed_claims_begins_anew(database: Database) -> None:
    """MariaDB assigns one column after the other; the count has to be decided before the window is moved."""
    window = timedelta(minutes=1)
    with undone(database) as tx:
        for seconds, expected in ((0, 1), (30, 2), (100, 1), (110, 2)):
            count, _ends_at = claim_failures.add(tx, "p", now=START + timedelta(seconds=seconds), window=window)
            assert count == expected


def test_upserts_keep_what_they_must(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [image(1)])
        for _ in range(3):
            cache.note(tx, "node", image(1).id, now=START)
            cache.queue(tx, "node", image(1).id, now=START)
        (entry,) = cache.list_entries(tx, "node")
        assert entry.image.hits == 2
        assert cache.list_queued(tx, "node") == [image(1).id]
        for _ in range(2):
            projects.lock(tx, ProjectID("p"))
        assert tx.execute(sqlalchemy.select(project_locks.c.taken)).scalar_one() == 2


def test_chunks_and_events_and_locked_rows_are_handled_as_elsewhere(database: Database) -> None:
    test_records_contents.test_marked_chunk_is_not_deduplicated_and_is_stored_again(database)
    test_records_events.test_events_have_the_order_of_commits(database)
    test_records_members.test_rows_that_another_transaction_has_locked_are_left_for_later(database)
    test_records_transactions.test_reader_sees_one_state_of_the_database(database)
    test_records_transactions.test_writer_sees_what_was_committed_before_each_statement(database)


def test_list_goes_on_after_a_position(database: Database) -> None:
    query = ImageQuery(limit=2, visibility=Visibility.SHARED)
    with undone(database) as tx:
        shared = [image(number) for number in range(1, 6)]
        build(tx, shared, [Share(each, "B", MemberStatus.ACCEPTED) for each in shared])
        seen, after = list[ImageID](), None
        while found := images.page(tx, caller("B"), query, after=after, most_bytes=1 << 20, now=START).images:
            seen += [each.id for each in found]
            after = paging.position(found[-1], query)
    assert seen == [each.id for each in reversed(shared)]


def test_quota_checks_of_a_project_run_one_after_the_other(database: Database) -> None:
    order, entered = list[str](), threading.Event()

    def second() -> None:
        with database.write() as tx:
            entered.set()
            projects.lock(tx, ProjectID("p"))
            order.append("second")

    thread = threading.Thread(target=second)
    with database.write() as tx:
        projects.lock(tx, ProjectID("p"))
        thread.start()
        assert entered.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_transaction_that_is_undone_for_a_deadlock_says_so(database: Database) -> None:
    with database.write() as tx:
        build(tx, [image(1), image(2)])
    barrier, failures = threading.Barrier(2), list[str]()

    def lock_both(first: int, then: int) -> None:
        try:
            with database.write() as tx:
                images.lock(tx, image(first).id)
                barrier.wait(10)
                images.lock(tx, image(then).id)
        except problems.DatabaseUnavailable as problem:
            failures.append(str(problem))

    threads = [threading.Thread(target=lock_both, args=each) for each in ((1, 2), (2, 1))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert failures == [UNDONE]


def test_commit_that_a_galera_node_refuses_is_a_conflict(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_connection: object) -> None:
        raise pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")

    with monkeypatch.context() as patch, pytest.raises(problems.DatabaseUnavailable, match=UNDONE), database.write() as tx:
        build(tx, [image(1)])
        patch.setattr(tx.dialect, "do_commit", refuse)
    with database.read() as tx:
        assert images.find_or_none(tx, image(1).id) is None


def test_server_that_died_and_came_back_is_used_again() -> None:
    with servers.make_folder() as folder:
        with servers.start(folder, "--skip-networking") as socket:
            servers.ask(socket, "CREATE DATABASE partage")
            database = Database(servers.url_of(socket))
            database.require_answer()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyMySQL leaves the socket of a refused connection to the garbage collector
            with pytest.raises(problems.DatabaseUnavailable, match="does not answer at the moment"), database.read() as tx:
                tx.exec_driver_sql("SELECT 1")
            with pytest.raises(problems.DatabaseUnavailable, match=r"at .*socket cannot be opened .*; start the server") as refused:
                database.require_answer()
            del refused
            gc.collect()
        with servers.start(folder, "--skip-networking"), database.read() as tx:
            assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1
        database.close()


@pytest.fixture(scope="module")
def restricted_url(url: str) -> sqlalchemy.URL:
    """Give the URL of a user with a password, who may read a database and not change it."""
    parsed = sqlalchemy.make_url(url)
    statements = (
        "CREATE DATABASE readable; CREATE USER bob@localhost IDENTIFIED BY 'right'; GRANT SELECT ON readable.* TO bob@localhost"
    )
    servers.ask(parsed.query["unix_socket"], statements)  # type: ignore[arg-type]
    return parsed.set(username="bob", password="right", database="readable")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"password": "wrong"}, r"Access denied for user 'bob'.*; correct the user and the password in database_url"),
        ({"database": "partage"}, r"Access denied for user 'bob'@'localhost' to database 'partage'\); permit it .*: GRANT ALL"),
        ({"username": "root", "password": "", "database": "none"}, r"Unknown database 'none'\); create it on the server"),
    ],
)
def test_refusal_names_its_cause_and_a_remedy(restricted_url: sqlalchemy.URL, changed: dict[str, Any], words: str) -> None:
    database = Database(restricted_url.set(**changed).render_as_string(hide_password=False))
    with pytest.raises(problems.DatabaseUnavailable, match=words) as refused:
        database.require_answer()
    assert "right" not in str(refused.value)


def test_user_without_permission_to_create_tables_gets_a_remedy(restricted_url: sqlalchemy.URL) -> None:
    database = Database(restricted_url.render_as_string(hide_password=False))
    with pytest.raises(problems.DatabaseUnavailable) as refused:
        schema.upgrade(database)
    assert "CREATE command denied to user 'bob'" in str(database.explain(refused.value))
    database.close()


def test_dump_has_everything(url: str, database: Database) -> None:
    """See docs/backup.md."""
    with database.write() as tx:
        build(tx, [image(1, tags=WORDS, properties={"os": "debian"})])
    servers.copy_database(url, "partage", to="restored")
    restored = Database(sqlalchemy.make_url(url).set(database="restored").render_as_string(hide_password=False))
    schema.require_current(restored)
    with restored.read() as tx:
        found = images.find_or_none(tx, image(1).id)
    made = describe(restored)
    restored.close()
    assert found == image(1, tags=WORDS, properties={"os": "debian"})
    assert made == describe(database)


def test_rename_to_a_taken_name_is_a_conflict_of_names(database: Database) -> None:
    """The definitions follow by a foreign key, of which the server reports another error."""
    names = [{"name": each, "public": True, "protected": False, "created_at": 0, "updated_at": 0} for each in ("one", "two")]
    row = {"kind": "tag", "key": "t", "name": "t", "document": "{}", "created_at": 0, "updated_at": 0}
    with undone(database) as tx:
        tx.execute(sqlalchemy.insert(metadef_namespaces), names)
        tx.execute(sqlalchemy.insert(metadef_definitions), [{"namespace": each["name"], **row} for each in names])
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            tx.execute(sqlalchemy.update(metadef_namespaces).where(metadef_namespaces.c.name == "one").values(name="two"))
