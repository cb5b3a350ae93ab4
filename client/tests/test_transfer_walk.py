"""The transfer of docs/client.md, from one Partage to another, is what the command really prints.

PARTAGE_GOLDEN=write writes the page anew.
"""

import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import faulty_endpoint
import places
from faulty_endpoint import Fault, FaultyEndpoint
from partageclient import resumable_uploads
from places import Place, Run
from test_walk import IMAGE, PAGE, normalize

COPY = "9b2e4c1d-3f4a-4b5c-9d6e-7f8091a2b3c4"
SIZE = 12_000_000
WORDS = ("image", "transfer", "work:backup-1", "archive")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a second Partage, with a Keystone of its own."""
    with places.run_partage(tmp_path_factory.mktemp("archive")) as place:
        yield place


@pytest.fixture
def endpoint(archive: Place) -> Iterator[FaultyEndpoint]:
    """Give an endpoint before the second Partage."""
    with faulty_endpoint.run(archive.cloud("project-a").image_url) as running:
        yield running


@pytest.fixture
def two_clouds(partage: Place, archive: Place, endpoint: FaultyEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clouds.yaml have both: work and archive."""
    profiles = {
        name: yaml.safe_load(place.clouds_file.read_text())["clouds"]["project-a"]
        for name, place in (("work", partage), ("archive", archive))
    }
    profiles["archive"]["image_endpoint_override"] = endpoint.url
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": profiles}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))


def press_ctrl_c_after_the_interruption(endpoint: FaultyEndpoint) -> None:
    """Let the person press Ctrl-C when the connection has broken and the client asks what has arrived."""
    presses = iter([signal.SIGINT])

    def press(method: str, path: str) -> None:
        has_sent = any(each[0] == "PATCH" and each[1].endswith("/upload") for each in endpoint.sent)
        number = next(presses, None) if has_sent and method == "GET" and "/v2/images/" in path else None
        if number is not None:
            os.kill(os.getpid(), number)

    endpoint.intervene = press


@pytest.mark.usefixtures("two_clouds")
def test_page_shows_the_transfer_from_one_partage_to_another(
    partage: Place, archive: Place, endpoint: FaultyEndpoint, run: Run
) -> None:
    image = partage.create_image("backup-1", data=random.Random(5).randbytes(SIZE))
    said = []
    for number, words in enumerate(((*WORDS, "--dry-run"), WORDS, WORDS, WORDS)):
        if number == 1:
            endpoint.faults = [Fault("PATCH", "/upload", cut_after=SIZE * 2 // 3)]
            press_ctrl_c_after_the_interruption(endpoint)
        status, out, err = run("", *words)
        exit_status = f"exit status {status}\n" if status else ""
        said.append(f"$ openstack {' '.join(words)}\n{'^C' if number == 1 else ''}{err}{out}{exit_status}")
    [copy] = archive.cloud("project-a").request("GET", "/v2/images", asked="List").document["images"]
    printed = normalize("\n".join(said), {image["id"]: IMAGE, copy["id"]: COPY})
    printed = re.sub(r"within 2\d h.*? to", "within 24 h to", printed)
    printed = re.sub(r"byte \d+ of", "byte 8060928 of", re.sub(r"has [\d.]+ MiB of", "has 7.7 MiB of", printed))
    pattern = re.compile(r"(### From one Partage to another\n.*?\n```\n)(.*?)(```\n)", re.DOTALL)
    page = PAGE.read_text()
    if os.environ.get("PARTAGE_GOLDEN") == "write":
        page = pattern.sub(lambda match: match[1] + printed + match[3], page)
        PAGE.write_text(page)
    found = pattern.search(page)
    assert found is not None
    assert found[2] == printed
    assert resumable_uploads.find_state(archive.cloud("project-a"), copy["id"]) is not None
