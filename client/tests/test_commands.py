"""The commands, run by the real `openstack` in this process: tables, JSON, sentences, exit status."""

import json

import pytest

from partageclient import parallel
from partageclient.connections import Cloud
from places import Place, Run

LIST_KEYS = [
    "Image ID", "Image Name", "Project ID", "Project Name", "Status", "Ends At", "Notice", "Expires At", "Message", "Image Status",
    "Size", "Disk Format", "Offered At", "Answered At",
]  # fmt: skip
OUTCOME_KEYS = ["Image", "Project", "Image ID", "Project ID", "Status", "Result", "Ends At", "Was Made Shared", "Error"]


def test_two_commands_share_an_image_and_boot_from_it(place: Place, run: Run) -> None:
    """The guide of sharing has ten commands, with ids on two terminals."""
    image = place.create_image("golden")
    status, out, err = run("project-a", "image", "share", "create", "golden", "--project", "project-b")
    assert (status, out.count("offered")) == (0, 1)
    assert f"Image golden ({image['id']}) was private and is now shared." in err
    status, out, err = run("project-b", "image", "share", "accept", "--all")
    assert (status, out.count("accepted")) == (0, 2)
    assert place.cloud("project-b").request("GET", f"/v2/images/{image['id']}", asked="Show").document["status"] == "active"


def test_tables_fit_80_columns_and_json_has_everything(place: Place, run: Run) -> None:
    name = "a name that is much longer than a table of eighty columns has room for"
    image = place.create_image(name)
    b = place.cloud("project-b")
    outputs = [run("project-a", "image", "share", "create", name, "--accept-as", "project-b")[1]]
    outputs += [run("project-a", "image", "share", "list", "--out")[1], run("project-b", "image", "share", "list")[1]]
    assert all(output.startswith("+--") for output in outputs)
    assert max(len(line) for output in outputs for line in output.splitlines()) <= 80
    _status, out, _err = run("project-a", "image", "share", "list", "--out", "-f", "json")
    [row] = json.loads(out)
    assert list(row) == LIST_KEYS
    assert (row["Image ID"], row["Image Name"], row["Project ID"], row["Status"]) == (image["id"], name, b.project_id, "accepted")


def test_rows_that_fail_are_sentences_and_an_exit_status(place: Place, run: Run) -> None:
    place.create_image("golden")
    status, out, err = run("project-a", "image", "share", "create", "golden", "absent", "--project", "project-b", "-f", "json")
    rows = json.loads(out)
    assert status == 1
    assert [list(row) for row in rows] == [OUTCOME_KEYS] * 2
    assert [row["Result"] for row in rows] == ["offered", "failed"]
    assert "Find the image absent: your project can see no image of this name." in err
    assert rows[1]["Error"] in err


def test_show_names_members_when_there_are_several(place: Place, run: Run) -> None:
    place.create_image("golden")
    b, c = place.cloud("project-b"), place.cloud("project-c")
    run("project-a", "image", "share", "create", "golden", "--project", b.project_id, "--project", c.project_id)
    status, _out, err = run("project-a", "image", "share", "show", "golden")
    assert status == 1
    assert b.project_id in err
    assert c.project_id in err
    status, out, _err = run("project-a", "image", "share", "show", "golden", "--project", b.project_id[:8], "-f", "json")
    assert (status, json.loads(out)["member_id"]) == (0, b.project_id)


def test_offers_of_one_project_are_accepted_by_its_first_digits(place: Place, run: Run) -> None:
    place.create_image("golden")
    a = place.cloud("project-a")
    assert run("project-a", "image", "share", "create", "golden", "--project", "project-b")[0] == 0
    status, out, _err = run("project-b", "image", "share", "accept", "--from", f"{a.project_id[:8]}…", "--dry-run")
    assert (status, out.count("would be accepted")) == (0, 1)
    status, out, _err = run("project-b", "image", "share", "reject", "--from", a.project_id)
    assert (status, out.count("rejected")) == (0, 2)
    status, _out, err = run("project-b", "image", "share", "accept", "--all")
    assert (status, err.strip()) == (0, "No offer waits for an answer.")


@pytest.mark.usefixtures("place")
def test_accept_without_images_asks_which(run: Run) -> None:
    status, _out, err = run("project-b", "image", "share", "accept")
    assert status == 1
    assert "Name images, or give either --all or --from" in err


def test_terms_are_shown_on_partage_and_refused_on_glance(place: Place, run: Run) -> None:
    image = place.create_image("golden")
    words = ("image", "share", "create", "golden", "--project", "project-b", "--notice", "30d", "--message", "for the move")
    status, out, err = run("project-a", *words)
    if place.is_glance:
        assert status == 1
        assert "plain Glance" in err
        assert "Share without --notice" in err
        return
    assert status == 0
    status, out, err = run("project-a", "image", "share", "set", "golden", "--project", "project-b", "--notice", "60d", "--dry-run")
    assert "Would change notice from P30D to P60D." in err
    status, out, err = run("project-b", "image", "share", "show", image["id"], "-f", "json")
    assert (json.loads(out)["notice"], json.loads(out)["message"]) == ("P30D", "for the move")


def test_delete_ends_a_share_and_its_dry_run_does_not(place: Place, run: Run) -> None:
    place.create_image("golden")
    run("project-a", "image", "share", "create", "golden", "--project", "project-b")
    assert "would end" in run("project-a", "image", "share", "delete", "golden", "--project", "project-b", "--dry-run")[1]
    assert "ended" in run("project-a", "image", "share", "delete", "golden", "--project", "project-b")[1]
    assert run("project-b", "image", "share", "list", "-f", "value")[1] == ""


def test_interrupt_prints_what_is_done_and_exits_130(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Partage the pairs of a command go in one request, so that there is nothing between them to interrupt."""
    names = [f"disk-{number}" for number in range(6)]  # with two projects more pairs than are sent at a time
    for each in names:
        place.create_image(each, visibility="shared")

    def press(_self: parallel.ProgressLine, done: int, total: int) -> None:
        if 1 <= done < total:
            raise KeyboardInterrupt

    monkeypatch.setattr(parallel.ProgressLine, "__call__", press)
    status, out, err = run("project-a", "image", "share", "create", *names, "--project", "project-b", "--project", "project-c")
    if not place.is_glance:
        assert (status, out.count("offered")) == (0, 12)
        return
    assert status == 130
    begun = out.count("offered")
    assert f"Interrupted: {begun} shared, {12 - begun} not begun." in err
    assert 1 <= begun < 12


COMMANDS = (
    "adopt golden", "claim code", "code create golden", "code list golden", "code revoke golden code", "event list",
    "impact show golden", "restore 71c675ab-0000-4000-8000-000000000001", "share accept --all", "share create golden --project x",
    "share delete golden --project x", "share leave golden", "share list", "share list --out", "share reject golden",
    "share set golden --project x --notice 3d", "share show golden", "transfer project-a:golden project-b", "trust list",
    "trust set accept --project x", "trust unset --project x", "use add golden server web-1", "use list golden",
    "use remove golden server web-1",
)  # fmt: skip


def press_ctrl_c(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_ends_each_command_without_a_traceback(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a command asks first: the person presses Ctrl-C then."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    monkeypatch.setattr(Cloud, "request", press_ctrl_c)
    ended = {words: run("project-a", "image", *words.split()) for words in COMMANDS}
    assert {words: (status, out, "Traceback" in err) for words, (status, out, err) in ended.items()} == dict.fromkeys(
        COMMANDS, (130, "", False)
    )
