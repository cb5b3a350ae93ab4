"""Durations and times as people write them, tables of 80 columns, addresses and messages."""

import time
from datetime import UTC, datetime

import pytest

from partageclient import connections, endpoint, errors, printable
from partageclient.osc import tables
from partageclient.osc.commands import CloudCommand, OneCommand
from partageclient.osc.share import ShowShare
from partageclient.osc.tables import Column
from partageclient.shares import parse_expiry, parse_notice

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        ("30d", "P30D"),
        ("12h", "PT12H"),
        ("2w", "P2W"),
        ("90m", "PT90M"),
        ("P1DT2H", "P1DT2H"),
        ("p30d", "P30D"),
        ("Forever", "forever"),
        ("while-used", "while-used"),
    ],
)
def test_notice_is_read_as_people_write_it(text: str, notice: str) -> None:
    assert parse_notice(text) == notice


@pytest.mark.parametrize("text", ["", "30", "30 days", "P", "PT", "-3d", "9999999d", "always"])
def test_text_that_is_no_notice_is_refused_with_examples(text: str) -> None:
    with pytest.raises(errors.Invalid, match="30d"):
        parse_notice(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-06-30", "2027-06-30T00:00:00Z"),
        ("2027-06-30T12:00:00+02:00", "2027-06-30T10:00:00Z"),
        ("90d", "2027-02-27T12:00:00Z"),
        ("never", ""),
    ],
)
def test_expiry_is_read_as_people_write_it(text: str, moment: str) -> None:
    assert parse_expiry(text, NOW) == moment


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "2020-01-01", "999999w", ""])
def test_text_that_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid, match="Let access end"):
        parse_expiry(text, NOW)


COLUMNS = (
    Column("Image ID"),
    Column("Image Name", least=8),
    Column("Project", least=9, for_programs=False),
    Column("Project ID", for_people=False),
    Column("Status"),
)
ROW = ("71c675ab-0000-4000-8000-000000000000", "a name that is longer than any table has room for", "f" * 32, "f" * 32, "accepted")


def test_table_for_people_fits_80_columns_and_keeps_ids_whole() -> None:
    titles, [row] = tables.fit(COLUMNS, [ROW], for_people=True)
    texts = [each.human_readable() for each in row]
    assert titles == ["Image ID", "Image Name", "Project", "Status"]
    assert sum(len(each) + 3 for each in texts) + 1 <= 80
    assert (texts[0], texts[3]) == (ROW[0], "accepted")
    assert texts[2].startswith("ffffffff")
    assert texts[2].endswith("…")
    assert [each.machine_readable() for each in row] == [ROW[0], ROW[1], ROW[2], ROW[4]]


HOSTILE = "golden\x1b]0;owned\x07\x9b2J\u202e\ud800"


def test_names_and_messages_of_others_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _titles, [row] = tables.fit(COLUMNS, [(ROW[0], HOSTILE, *ROW[2:])], for_people=True)
    _names, (message, number) = OneCommand.build_fields(ShowShare(None, None), {"message": f"{HOSTILE}\n", "uses": 1})
    CloudCommand.say(ShowShare(None, None), HOSTILE)
    refusal = errors.Invalid(f"Share {HOSTILE}", HOSTILE)
    texts = [row[1].human_readable(), message.human_readable(), capsys.readouterr().err, str(refusal)]
    assert all(each.isprintable() for text in texts for each in text.replace("\n", "")), texts
    assert all("golden" in text for text in texts)
    assert (row[1].machine_readable(), message.machine_readable(), number) == (HOSTILE, f"{HOSTILE}\n", 1)


def test_wide_terminal_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _titles, [row] = tables.fit(COLUMNS, [ROW], for_people=True)
    assert [each.human_readable() for each in row][1:3] == [ROW[1], ROW[2]]


def test_programs_get_every_column_whole() -> None:
    titles, [row] = tables.fit(COLUMNS, [ROW], for_people=False)
    assert titles == ["Image ID", "Image Name", "Project ID", "Status"]
    assert row == [ROW[0], ROW[1], ROW[3], ROW[4]]


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("http://image.example:9292/v2/", "http://image.example:9292"),
        ("https://example/image/v2.17", "https://example/image"),
        ("https://example/image", "https://example/image"),
        ("https://v2.example/", "https://v2.example"),
    ],
)
def test_version_is_taken_off_the_end_of_an_address(url: str, stripped: str) -> None:
    assert endpoint.strip_version(url) == stripped


def test_service_without_the_sharing_api_has_no_features() -> None:
    """Source: Glance 33 answers GET /partage with its versions, 300; a gateway may answer anything."""
    versions = {"versions": [{"id": "v2.17", "status": "CURRENT"}]}
    for status, document in ((300, versions), (404, None), (200, "<html>"), (200, versions), (200, {"features": "all"})):
        assert not endpoint.read_features(status, document).has_sharing_api
    assert endpoint.read_features(200, {"features": ["shares"], "notice": {}}).has_sharing_api


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.NotSignedIn),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.Overloaded),
        (503, errors.Overloaded),
        (500, errors.Unexpected),
        (302, errors.Unexpected),
    ],
)
def test_status_becomes_an_error_that_says_what_was_asked(status: int, kind: type[errors.ClientError]) -> None:
    problem = connections.error_of_status(status, {"detail": "it is so"}, "Do it")
    assert type(problem) is kind
    assert str(problem).startswith("Do it: it is so.")


def test_markup_of_glances_messages_is_removed() -> None:
    html = "<html><head><title>404 Not Found</title></head><body><h1>404</h1>No image &amp; no more.<br /><br /></body></html>"
    assert str(connections.error_of_status(404, html, "Show it")) == "Show it: 404 No image & no more."


def test_markup_that_is_damaged_is_text() -> None:
    texts = {
        "a < b": "a < b",
        "<head>never closed <b>x</b>": "never closed x",
        "<HEAD>hidden</Head>shown": "shown",
        "<title>1</title>a<title>2</title>b": "a b",
        f"&#{'9' * 5000};": "\N{REPLACEMENT CHARACTER}",
        "&#65; &amp;": "A &",
    }
    assert {each: endpoint.strip_markup(each) for each in texts} == texts


@pytest.mark.parametrize("piece", ["<", "<head>", "<head></title>", "<a", "&#9", "</title"])
def test_hostile_markup_takes_linear_time(piece: str) -> None:
    """A sixteenth takes a sixteenth of the time, 1/256 where each piece meets each; up to 1/100 is taken for even."""

    def seconds_of(length: int) -> float:
        text = piece * (length // len(piece))
        begun = time.thread_time()
        endpoint.strip_markup(text)
        return time.thread_time() - begun

    whole, part = (min(seconds_of(length) for _ in range(5)) for length in (1 << 17, 1 << 13))
    assert whole / max(part, 1e-6) < 100


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("golden", 6, "golden"),
        ("golden-1", 6, "golde…"),
        ("名前名前", 8, "名前名前"),
        ("名前名前", 7, "名前名…"),
        ("名前名前", 6, "名前…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_text_is_shortened_to_columns_of_a_terminal(text: str, width: int, shown: str) -> None:
    assert printable.shorten(text, width) == shown
    assert printable.measure(shown) <= width


def test_value_for_people_is_wrapped_and_keeps_its_lines() -> None:
    text = f"first\n{'word ' * 30}\n{'名前' * 40}"
    wrapped = printable.wrap(text, 60).split("\n")
    assert (wrapped[0], max(printable.measure(each) for each in wrapped) <= 60) == ("first", True)
    assert "".join("".join(wrapped).split()) == "".join(text.split())
