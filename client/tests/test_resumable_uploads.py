"""Uploads to a Partage that go on from the acknowledged offset: endpoints that go away, Ctrl-C, and the same command again."""

import hashlib
import json
import random
import re
from collections.abc import Iterator

import pytest

from faulty_endpoint import PIECE, Fault, FaultyEndpoint, run
from partageclient import adoption, copying, errors, resumable_uploads, transfers
from partageclient.connections import Cloud
from partageclient.copied_metadata import MARKER
from partageclient.copying import Observer
from partageclient.image_data import Patience
from partageclient.images import Image
from places import Place, Run

DATA = random.Random(3).randbytes(6_000_000)
HASTE = Patience(attempts=4, first_delay_seconds=0.01, longest_delay_seconds=0.05)
PROBLEM = "urn:partage:problem:"


@pytest.fixture
def endpoint(partage: Place) -> Iterator[FaultyEndpoint]:
    """Give an endpoint before a Partage that misbehaves on demand."""
    with run(partage.cloud("project-a").image_url) as running:
        yield running


@pytest.fixture
def backup(partage: Place) -> Image:
    """Give an image that is to be copied."""
    return show(partage.cloud("project-a"), partage.create_image("backup", data=DATA)["id"])


@pytest.fixture
def there(partage: Place, endpoint: FaultyEndpoint) -> Cloud:
    """Give the destination, through the endpoint."""
    return Cloud(partage.connect("project-b", image_endpoint_override=endpoint.url), "project-b")


def show(cloud: Cloud, image_id: str) -> Image:
    shown: Image = cloud.request("GET", f"/v2/images/{image_id}", asked="Show").document
    return shown


def list_copies(partage: Place) -> list[Image]:
    listed: list[Image] = partage.cloud("project-b").request("GET", "/v2/images", asked="List").document["images"]
    return listed


def read(partage: Place, image_id: str) -> bytes:
    b = partage.cloud("project-b")
    content: bytes = b.connection.session.get(f"{b.image_url}/v2/images/{image_id}/file").content
    return content


def transfer(
    source: Cloud, image: Image, there: Cloud, said: list[str] | None = None, *, interrupt_at: int | None = None
) -> transfers.Transferred:
    """Transfer one image without waiting long; press Ctrl-C when so many bytes have been read."""

    def show_progress(done: int, _total: int) -> None:
        if interrupt_at is not None and done >= interrupt_at:
            raise KeyboardInterrupt

    observer = Observer(show_progress, ([] if said is None else said).append)
    plans = transfers.plan_transfer(source, [image], there)
    [result] = transfers.carry_out(plans, there, observe=lambda _planned: observer, patience=HASTE)
    return result


def list_sent(endpoint: FaultyEndpoint) -> list[int]:
    """List the bytes of each request that added some to an upload."""
    return [size for method, path, size in endpoint.sent if method == "PATCH" and path.endswith("/upload")]


def leave_half_made(partage: Place, image: Image, there: Cloud, data: bytes) -> Image:
    """Leave what a killed run leaves: an image with a part of the data."""
    [planned] = transfers.plan_transfer(partage.cloud("project-a"), [image], there)
    made, _refused = copying.create(there, planned.metadata)
    path = f"{there.image_url}/partage/v1/images/{made['id']}/upload"
    begun = {"Upload-Complete": "?0", "Upload-Length": str(image["size"])}
    assert there.connection.session.post(path, headers=begun).status_code == 201
    headers = {"Content-Type": "application/partial-upload", "Upload-Complete": "?0", "Upload-Offset": "0"}
    assert there.connection.session.patch(path, data=data, headers=headers).status_code == 204
    return made


def test_upload_that_breaks_off_goes_on_from_the_acknowledged_offset(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    endpoint.faults = [Fault("PATCH", "/upload", cut_after=4_000_000)]
    said: list[str] = []
    result = transfer(partage.cloud("project-a"), backup, there, said)
    assert result.copied is not None, result.problem
    [offset] = result.copied.resumed_from
    assert 3_000_000 < offset <= 4_000_000 + PIECE
    assert list_sent(endpoint)[1:] == [len(DATA) - offset]
    assert said == [f"The upload in project-b goes on from byte {offset} of {len(DATA)}."]
    assert (result.copied.verified, read(partage, result.copied.image["id"])) == ("sha512", DATA)
    assert MARKER not in result.copied.image


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("PATCH", "/upload", cut_after=4_000_000), Fault("GET", "/upload", times=6)],
        [Fault("PATCH", "/upload", cut_after=2_000_000), Fault("PATCH", "/upload", cut_after=2_000_000)],
        [Fault("PATCH", "/upload", status=503), Fault("PATCH", "/upload", cut_after=1_000_000)],
        [Fault("POST", "/upload", loses_response=True)],
        [Fault("PATCH", "/upload", loses_response=True)],
    ],
    ids=["stays-away", "twice", "busy", "beginning-lost", "end-lost"],
)
def test_endpoint_that_goes_away_is_waited_for(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud, faults: list[Fault]
) -> None:
    endpoint.faults = faults
    result = transfer(partage.cloud("project-a"), backup, there)
    assert result.copied is not None, result.problem
    assert endpoint.faults == []
    assert sum(list_sent(endpoint)) < len(DATA) + 300_000
    assert read(partage, result.copied.image["id"]) == DATA


def test_download_and_upload_that_both_break_off_go_on(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    a = Cloud(partage.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
    endpoint.faults = [Fault("GET", "/file", cut_after=3_000_000), Fault("PATCH", "/upload", cut_after=4_000_000)]
    result = transfer(a, backup, there)
    assert result.copied is not None, result.problem
    assert (len(result.copied.resumed_from), result.copied.verified) == (2, "sha512")
    assert read(partage, result.copied.image["id"]) == DATA


def test_source_without_ranges_is_read_again_up_to_the_offset(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    a = Cloud(partage.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
    endpoint.has_ranges = False
    endpoint.faults = [Fault("PATCH", "/upload", cut_after=4_000_000)]
    result = transfer(a, backup, there)
    assert result.copied is not None, result.problem
    assert read(partage, result.copied.image["id"]) == DATA


def test_same_command_after_ctrl_c_goes_on_with_the_half_made_image(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    a = Cloud(partage.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
    said: list[str] = []
    with pytest.raises(errors.Interrupted):
        transfer(a, backup, there, said, interrupt_at=5_000_000)
    [left] = list_copies(partage)
    deletion = f"openstack --os-cloud project-b image delete {left['id']}"
    assert re.search(rf"Run the same command again within 2\d h.* to go on from there, or delete it: {deletion}$", said[-1])
    state = resumable_uploads.find_state(there, left["id"])
    assert state is not None
    [planned] = transfers.plan_transfer(a, [backup], there)
    assert planned.bytes == len(DATA) - state.offset < len(DATA)
    endpoint.requests.clear()
    endpoint.sent.clear()
    result = transfer(a, backup, there)
    assert result.copied is not None, result.problem
    assert (result.copied.image["id"], result.copied.verified, result.copied.resumed_from) == (
        left["id"],
        "sha512",
        (state.offset,),
    )
    assert [each[2] for each in endpoint.requests if each[1].endswith("/file")] == [f"bytes={state.offset}-"]
    assert list_sent(endpoint) == [len(DATA) - state.offset]
    assert read(partage, left["id"]) == DATA
    assert len(list_copies(partage)) == 1


def test_upload_that_has_all_bytes_is_only_completed(partage: Place, backup: Image, there: Cloud) -> None:
    left = leave_half_made(partage, backup, there, DATA)
    result = transfer(partage.cloud("project-a"), backup, there)
    assert result.copied is not None, result.problem
    assert (result.copied.image["id"], result.copied.image["status"]) == (left["id"], "active")


def test_destination_that_stays_away_keeps_the_half_made_image(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    away = [Fault("GET", "/upload", times=99), Fault("DELETE", "", times=99)]
    endpoint.faults = [Fault("PATCH", "/upload", cut_after=4_000_000), *away]
    said: list[str] = []
    result = transfer(partage.cloud("project-a"), backup, there, said)
    assert isinstance(result.problem, errors.Unreachable)
    assert "gave up after 4 attempts in a row" in str(result.problem)
    assert "Run the same command again to go on, or delete it: openstack --os-cloud project-b image delete" in said[-1]
    endpoint.faults = []
    again = transfer(partage.cloud("project-a"), backup, there)
    assert again.copied is not None, again.problem
    assert again.copied.resumed_from[0] > 3_000_000


def test_copy_of_another_name_begins_anew(partage: Place, backup: Image, there: Cloud) -> None:
    """What a former run has made is gone on with only if it would become the same image."""
    left = leave_half_made(partage, backup, there, DATA[:4_000_000])
    a = partage.cloud("project-a")
    plan = adoption.plan_adoption(there, backup["id"], name="other", reader=a)
    assert (plan.begun, plan.bytes, [each["id"] for each in plan.half_made]) == (None, len(DATA), [left["id"]])
    assert adoption.plan_adoption(there, backup["id"], reader=a).bytes == len(DATA) - 4_000_000
    copied = adoption.carry_out(plan)
    assert [(each["id"], each["name"]) for each in list_copies(partage)] == [(copied.image["id"], "other")]


def test_bytes_of_a_former_run_that_are_damaged_are_noticed(partage: Place, backup: Image, there: Cloud) -> None:
    leave_half_made(partage, backup, there, b"\0" + DATA[1:4_000_000])
    said: list[str] = []
    result = transfer(partage.cloud("project-a"), backup, there, said)
    assert isinstance(result.problem, errors.Damaged)
    assert hashlib.sha512(DATA).hexdigest() in str(result.problem)
    assert "was removed" in said[-1]
    assert list_copies(partage) == []


def test_damage_on_the_way_is_noticed_across_an_interruption(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    a = Cloud(partage.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
    endpoint.faults = [Fault("GET", "/file", flip_at=1_000_000), Fault("PATCH", "/upload", cut_after=4_000_000)]
    result = transfer(a, backup, there)
    assert isinstance(result.problem, errors.Damaged)
    assert list_copies(partage) == []


def test_project_with_its_maximum_of_uploads_gets_one_request(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    refusal = {"type": f"{PROBLEM}too-many", "title": "Too Large", "status": 413, "detail": "64 uploads are unfinished"}
    endpoint.faults = [Fault("POST", "/upload", status=413, document=refusal)]
    result = transfer(partage.cloud("project-a"), backup, there)
    assert result.copied is not None, result.problem
    assert [size for method, path, size in endpoint.sent if path.endswith("/file")] == [len(DATA)]


def test_gateway_that_hides_uploads_gets_one_request(partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud) -> None:
    endpoint.faults = [Fault("POST", "/upload", status=405, document={"message": "no such method"})]
    result = transfer(partage.cloud("project-a"), backup, there)
    assert result.copied is not None, result.problem
    assert read(partage, result.copied.image["id"]) == DATA


def test_upload_that_another_run_has_taken_over_is_left_to_it(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    refusal = {"type": f"{PROBLEM}upload-taken-over", "title": "Conflict", "status": 409, "detail": "a later request"}
    endpoint.faults = [Fault("PATCH", "/upload", status=409, document=refusal)]
    said: list[str] = []
    result = transfer(partage.cloud("project-a"), backup, there, said)
    assert isinstance(result.problem, resumable_uploads.TakenOver)
    assert said == []
    assert len(list_copies(partage)) == 1


def test_data_that_the_service_refuses_leaves_no_image(
    partage: Place, backup: Image, endpoint: FaultyEndpoint, there: Cloud
) -> None:
    refusal = {"type": f"{PROBLEM}format-refused", "status": 400, "detail": "it is no raw image"}
    endpoint.faults = [Fault("PATCH", "/upload", status=400, document=refusal, headers={"Upload-Complete": "?1"})]
    result = transfer(partage.cloud("project-a"), backup, there)
    assert isinstance(result.problem, errors.Invalid)
    assert list_copies(partage) == []


def test_dry_run_says_from_where_it_would_go_on(
    partage: Place, backup: Image, there: Cloud, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(partage.clouds_file))
    left = leave_half_made(partage, backup, there, DATA[:4_000_000])
    words = ("image", "transfer", "project-a:backup", "project-b")
    status, out, err = run("", *words, "--dry-run", "-f", "json")
    assert (status, json.loads(out)[0]["Bytes"]) == (0, 2_000_000), err
    assert f"Would go on with image {left['id']} from byte 4000000, where an interrupted run has ended." in err
    status, out, err = run("", *words, "-f", "json")
    assert (status, json.loads(out)[0]["ID"], json.loads(out)[0]["Verified"]) == (0, left["id"], "sha512"), err
    assert f"The upload in project-b goes on from byte 4000000 of {len(DATA)}." in err
