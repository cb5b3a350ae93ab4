"""`image adopt`, `transfer`, `impact show`, `code`, `claim`, `trust`, `event`, `use` and `restore`, run by the real `openstack`."""

import json

import pytest

import faulty_endpoint
import partageclient
from partageclient.connections import Cloud
from partageclient.osc import event
from places import Place, Run

TRANSFER_KEYS = ["Name", "Source ID", "ID", "Size", "Bytes", "Result", "Method", "Verified", "Left Out", "Error"]
IMPACT_KEYS = ["Project ID", "Project Name", "Role", "Status", "Ends", "Ends At", "Servers", "Volumes", "Snapshots", "Server IDs",
               "Volume IDs", "Snapshot IDs"]  # fmt: skip
ADOPT_KEYS = ["id", "name", "status", "size", "project_id", "adopted_from", "method", "verified", "resumed_from", "left_out"]
LONG = "a name that is much longer than a table of eighty columns has room for"


def widest(*outputs: str) -> int:
    return max(len(line) for output in outputs for line in output.splitlines())


def test_transfer_tells_the_bytes_copies_and_does_not_repeat(place: Place, run: Run) -> None:
    for name in ("backup-1", LONG):
        place.create_image(name, data=b"d" * 3_000_000)
    words = ("image", "transfer", "project-a:*", "project-b")
    status, planned, err = run("project-a", *words, "--dry-run")
    assert (status, "Would copy 5.7 MiB through this machine (6000000 bytes)." in err) == (0, True), planned + err
    assert planned.count("| copy ") == 2
    status, out, _err = run("project-a", *words, "--dry-run", "-f", "json")
    assert [(each["Result"], each["Bytes"]) for each in json.loads(out)] == [("copy", 3_000_000)] * 2
    status, out, err = run("", *words)  # the clouds are in the arguments
    assert (status, out.count("| copied ")) == (0, 2), err
    assert widest(planned, out) <= 80
    status, out, _err = run("project-a", *words, "-f", "json")
    rows = json.loads(out)
    assert [list(each) for each in rows] == [TRANSFER_KEYS] * 2
    assert {(each["Result"], each["Size"], each["Verified"], each["Error"]) for each in rows} == {
        ("present", 3_000_000, "sha512", None)
    }


def test_transfer_that_cannot_be_meant_says_why(place: Place, run: Run) -> None:
    place.create_image("golden")
    status, _out, err = run("project-a", "image", "transfer", "golden", "project-b")
    assert (status, "Write a source as CLOUD:IMAGE" in err) == (1, True)
    status, _out, err = run("project-a", "image", "transfer", "project-a:golden", "nowhere")
    assert (status, "there is no such profile" in err) == (1, True)
    status, _out, err = run("project-a", "image", "transfer", "project-a:golden", "project-a")
    assert (status, "source and destination are the same project" in err) == (1, True)


def test_adopt_shows_the_plan_and_the_new_image(place: Place, run: Run) -> None:
    image = place.create_image(LONG, data=b"d" * 1_000_000)
    partageclient.share(place.cloud("project-a"), [image["id"]], [place.cloud("project-b").project_id])
    method = "stream" if place.is_glance else "adopt"
    status, planned, _err = run("project-b", "image", "adopt", image["id"], "--dry-run")
    assert (status, f"| {method} " in planned) == (0, True)
    status, out, _err = run("project-b", "image", "adopt", image["id"], "--name", "mine", "-f", "json")
    made = json.loads(out)
    assert (status, list(made)) == (0, ADOPT_KEYS)
    assert (made["name"], made["method"], made["adopted_from"]) == ("mine", method, image["id"])
    status, table, _err = run("project-a", "image", "adopt", image["id"], "--project-cloud", "project-b")
    assert (status, place.cloud("project-b").project_id in table) == (0, True)
    assert widest(planned, table) <= 80


def test_impact_has_a_row_for_each_project(place: Place, run: Run) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, [image["id"]], accept_as=[b])
    status, table, _err = run("project-a", "image", "impact", "show", "golden")
    assert (status, widest(table) <= 80) == (0, True)
    status, out, _err = run("project-a", "image", "impact", "show", "golden", "-f", "json")
    rows = json.loads(out)
    assert [list(each) for each in rows] == [IMPACT_KEYS] * 2
    assert [(each["Project ID"], each["Role"], each["Servers"]) for each in rows] == [
        (a.project_id, "owner", "unknown"),
        (b.project_id, "member", "unknown"),
    ]


def test_dry_runs_say_who_depends_on_the_image(place: Place, run: Run) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, [image["id"]], accept_as=[b])
    if not place.is_glance:
        partageclient.add_use(b, image["id"], "server", "web-1")
    uses = "no server or volume of it. What 1 of them have of it is unknown." if place.is_glance else "1 server of it."
    status, _out, err = run("project-a", "image", "share", "create", "golden", "--project", "project-c", "--dry-run")
    assert (status, err.strip()) == (0, f"Image golden has 1 project as members already, with {uses}")
    status, out, err = run("project-a", "image", "share", "delete", "golden", "--project", "project-b", "--dry-run")
    assert (status, "would end" in out) == (0, True)
    loss = "at once. What it has of the image is unknown." if place.is_glance else "It has 1 server of the image."
    assert err.startswith("Project project-b loses access at ")
    assert loss in err
    assert [each.status for each in partageclient.inbox(b)] == ["accepted"]


def test_end_of_a_share_says_what_partage_knows_that_the_member_loses(
    partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    image = partage.create_image("golden")
    a, b = partage.cloud("project-a"), partage.cloud("project-b")
    partageclient.share(a, [image["id"]], accept_as=[b], terms=partageclient.Terms(notice="P30D"))
    for kind, use_id in (("server", "web-1"), ("server", "web-2"), ("volume", "root-1")):
        partageclient.add_use(b, image["id"], kind, use_id)
    status, out, err = run("project-a", "image", "share", "delete", "golden", "--project", b.project_id, "-f", "json")
    [row] = json.loads(out)
    assert (status, row["Result"]) == (0, "ending")
    assert err.startswith(f"Project {b.project_id} loses access at {row['Ends At'][:10]}")
    assert "It has 2 servers and 1 volume of the image." in err


def test_code_is_created_claimed_and_revoked(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    image = partage.create_image("golden")
    status, out, err = run("project-a", "image", "code", "create", "golden", "--uses", "2", "--notice", "30d", "-f", "json")
    made = json.loads(out)
    assert (status, made["uses_left"], made["notice"]) == (0, 2, "P30D")
    assert "not shown again" in err
    status, out, _err = run("project-b", "image", "claim", made["code"], "-f", "json")
    assert (status, json.loads(out)["image_id"], json.loads(out)["status"]) == (0, image["id"], "accepted")
    status, out, _err = run("project-a", "image", "code", "list", "golden", "-f", "json")
    assert [(each["ID"], each["Uses Left"]) for each in json.loads(out)] == [(made["id"], 1)]
    assert run("project-a", "image", "code", "revoke", "golden", made["id"], "--dry-run")[0] == 0
    assert run("project-a", "image", "code", "revoke", "golden", made["id"])[0] == 0
    status, _out, err = run("project-a", "image", "code", "revoke", "golden", made["id"])
    assert (status, made["id"] in err) == (1, True)


def test_trust_rule_is_set_listed_and_removed(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    a = partage.cloud("project-a").project_id
    status, _out, err = run("project-b", "image", "trust", "set", "accept", "--project", "project-a", "--dry-run")
    assert (status, "now it is ask" in err) == (0, True)
    assert run("project-b", "image", "trust", "set", "accept", "--project", "project-a")[0] == 0
    rows = json.loads(run("project-b", "image", "trust", "list", "-f", "json")[1])
    assert [(each["Kind"], each["ID"], each["Rule"]) for each in rows] == [("project", a, "accept")]
    assert run("project-b", "image", "trust", "unset", "--project", a)[0] == 0
    assert run("project-b", "image", "trust", "unset", "--project", a)[0] == 1


def test_uses_are_added_listed_and_removed(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    partage.create_image("golden")
    assert run("project-a", "image", "use", "add", "golden", "server", "web-1")[0] == 0
    status, out, _err = run("project-a", "image", "use", "list", "golden", "-f", "json")
    assert (status, [(each["Kind"], each["ID"]) for each in json.loads(out)]) == (0, [("server", "web-1")])
    assert run("project-a", "image", "use", "remove", "golden", "server", "web-1")[0] == 0
    assert json.loads(run("project-a", "image", "use", "list", "golden", "-f", "json")[1]) == []


def test_deleted_image_with_notice_is_restored(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    image = partage.create_image("golden")
    a, b = partage.cloud("project-a"), partage.cloud("project-b")
    partageclient.share(a, [image["id"]], accept_as=[b], terms=partageclient.Terms(notice="P30D"))
    a.request("DELETE", f"/v2/images/{image['id']}", asked="Delete")
    assert run("project-a", "image", "restore", image["id"], "--dry-run")[0] == 0
    status, out, _err = run("project-a", "image", "restore", image["id"], "-f", "json")
    assert (status, json.loads(out)["status"]) == (0, "active")
    status, _out, err = run("project-a", "image", "restore", "golden")
    assert (status, "by its id only" in err) == (1, True)


def test_events_are_listed_and_watched(partage: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    partage.create_image("golden")
    status, out, _err = run("project-a", "image", "event", "list", "-f", "json")
    rows = json.loads(out)
    assert (status, [each["Type"] for each in rows[-2:]]) == (0, ["image.created", "image.activated"])
    status, table, _err = run("project-a", "image", "event", "list", "--limit", "3")
    assert (status, widest(table) <= 80, table.count("image.")) == (0, True, 3)

    def watch_until_interrupted(*_arguments: object, **_named: object) -> object:
        yield from partageclient.list_events(partage.cloud("project-a"), after=rows[-2]["Cursor"])
        raise KeyboardInterrupt

    monkeypatch.setattr(event.image_events, "watch_events", watch_until_interrupted)
    status, out, _err = run("project-a", "image", "event", "list", "--watch", "-f", "json")
    assert (status, json.loads(out)["Type"]) == (0, "image.activated")


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("code", "list", "golden"), "openstack image share create"),
        (("claim", "partage-claim-x"), "Send the id of your project"),
        (("trust", "list"), "openstack image share accept --from"),
        (("event", "list"), "openstack image share list"),
        (("restore", "71c675ab-0000-4000-8000-000000000001"), "Glance has deleted it for good"),
        (("use", "list", "golden"), "openstack image impact show"),
    ],
)
def test_plain_service_gets_one_sentence_that_says_what_works(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], instead: str
) -> None:
    with faulty_endpoint.run(place.cloud("project-a").image_url) as endpoint:
        endpoint.is_plain = True
        plain = Cloud(place.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
        monkeypatch.setattr("partageclient.osc.commands.CloudCommand.cloud", plain)
        status, out, err = run("project-a", "image", *words)
    assert (status, out, instead in err) == (1, "", True)
    assert "Traceback" not in err
