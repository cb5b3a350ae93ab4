"""Names that somebody chose to annoy: the commands find the images, keep the terminal and its 80 columns, and tell programs all."""

import json

import pytest

import partageclient
from partageclient.printable import measure
from places import Place, Run

NAMES = (
    " ",
    "-x",
    "--help",
    "a:b",
    "in:a,b",
    "2026-11-30T10:00:00Z",
    "*",
    "[a",
    "'; rm -rf /",
    "per%20cent&x=1#y",
    "tab\tname",
    "x\x1b[31mred\x1b[0m\r\nnext",
    "\u202eevil",
    "é" * 200,
    "e\u0301" * 90,
    "名前" * 60,
)


def is_fit_for_a_terminal(text: str) -> bool:
    printable = all(each.isprintable() for each in text.replace("\n", ""))
    return printable and max((measure(line) for line in text.splitlines()), default=0) <= 80


def test_images_with_odd_names_are_shared_listed_and_copied(place: Place, run: Run) -> None:
    ids = {name: place.create_image(name, data=b"disk of " + name.encode())["id"] for name in NAMES}
    words = ("image", "share", "create", "--project", "project-b", "--", *NAMES)
    status, table, err = run("project-a", *words)
    assert (status, table.count("| offered |"), is_fit_for_a_terminal(table)) == (0, len(NAMES), True), table + err
    status, table, err = run("project-b", "image", "share", "list")
    assert (status, is_fit_for_a_terminal(table)) == (0, True), table
    listed = json.loads(run("project-b", "image", "share", "list", "-f", "json")[1])
    assert {each["Image Name"]: each["Image ID"] for each in listed} == ids
    status, table, err = run("", "image", "transfer", "project-a:*", "project-b")
    assert (status, table.count("| copied |"), is_fit_for_a_terminal(table)) == (0, len(NAMES), True), table + err
    rows = json.loads(run("", "image", "transfer", "-f", "json", "project-a:*", "project-b")[1])
    assert {each["Name"]: (each["Source ID"], each["Result"]) for each in rows} == {
        name: (image_id, "present") for name, image_id in ids.items()
    }
    status, table, err = run("project-b", "image", "adopt", ids["a:b"], "--name", "名前" * 60)
    assert (status, is_fit_for_a_terminal(table)) == (0, True), table + err


def test_long_message_is_wrapped_for_people_and_whole_for_programs(
    partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    message = "for \x1b[31mweb\x1b[0m servers\nand " + "名前 words " * 20
    image = partage.create_image("golden")
    a, b = partage.cloud("project-a"), partage.cloud("project-b")
    partageclient.share(a, [image["id"]], [b.project_id], terms=partageclient.Terms(message=message))
    status, table, err = run("project-b", "image", "share", "show", "golden")
    assert (status, is_fit_for_a_terminal(table)) == (0, True), table + err
    assert json.loads(run("project-b", "image", "share", "show", "golden", "-f", "json")[1])["message"] == message


def test_several_images_of_one_name_are_listed_by_id(place: Place, run: Run) -> None:
    ids = {place.create_image("twin")["id"] for _ in range(2)}
    for words in (("image", "share", "create", "twin", "--project", "project-b"), ("image", "adopt", "twin")):
        status, _out, err = run("project-a", *words)
        assert (status, {each for each in ids if each in err}, "Give the id." in err) == (1, ids, True)


def test_reader_may_look_and_changes_nothing(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    image = partage.create_image("golden", owner="project-a", visibility="shared")
    assert run("reader-a", "image", "share", "list", "--out", "-f", "json")[0] == 0
    for words in (
        ("share", "create", image["id"], "--project", "project-b"),
        ("adopt", image["id"]),
        ("code", "create", image["id"]),
        ("use", "add", image["id"], "server", "web-1"),
    ):
        status, out, err = run("reader-a", "image", *words)
        assert (status, "not authorized" in err, "Traceback" in err) == (1, True, False), out + err
    assert partageclient.outbox(partage.cloud("project-a")) == []
