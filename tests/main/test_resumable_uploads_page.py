"""The commands of docs/resumable-uploads.md, run with curl against a service of two processes, which is restarted in between."""

import os
import re
import subprocess
from pathlib import Path

import requests

from tests.main.serving import serving
from tests.standalone import RunningKeystone

PAGE = Path(__file__).parents[2] / "docs" / "resumable-uploads.md"
SIZE_BYTES = 5_000_001


def blocks_of(page: str) -> list[str]:
    """Return the indented blocks of commands."""
    return [found.replace("\n    ", "\n").strip() for found in re.findall(r"(?:^    .+\n)+", page, re.MULTILINE)]


def run(commands: str, folder: Path, **names: str) -> str:
    """Run commands; the URL of the upload is that of the first block."""
    upload = 'UPLOAD="$IMAGES/partage/v1/images/$IMAGE/upload"\n'
    environment = {"PATH": os.environ["PATH"], **names}
    done = subprocess.run(
        ["bash", "-ec", upload + commands], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def create_image(url: str, token: str) -> str:
    document = {"disk_format": "raw", "container_format": "bare"}
    made = requests.post(f"{url}/v2/images", json=document, headers={"X-Auth-Token": token}, timeout=30)
    return str(made.json()["id"])


def test_commands_of_the_page_upload_an_image(keystone: RunningKeystone, tmp_path: Path) -> None:
    data = os.urandom(SIZE_BYTES)
    (tmp_path / "disk.raw").write_bytes(data)
    token = keystone.token("user-a", "project-a")
    begin, first, ask, rest, cancel = blocks_of(PAGE.read_text())
    with serving(keystone, tmp_path / "service", "--workers", "2") as live:
        image, other = create_image(live.url, token), create_image(live.url, token)
        names = {"IMAGES": live.url, "TOKEN": token, "IMAGE": image}
        begun = run(begin, tmp_path, **names)
        assert "HTTP/1.1 201 Created" in begun
        assert "upload-offset: 0" in begun.lower()
        added = run(first, tmp_path, **names)
        assert "HTTP/1.1 204 No Content" in added
        assert "upload-offset: 3000000" in added.lower()
        assert "201 Created" in run(begin, tmp_path, **{**names, "IMAGE": other})
    with serving(keystone, tmp_path / "service", "--workers", "2") as live:
        names["IMAGES"] = live.url
        asked = run(ask, tmp_path, **names)
        assert "HTTP/1.1 204 No Content" in asked
        assert {"upload-offset: 3000000", "upload-complete: ?0", f"upload-length: {SIZE_BYTES}"} <= {*asked.lower().splitlines()}
        ended = run(rest, tmp_path, **names)
        assert "HTTP/1.1 204 No Content" in ended
        assert "upload-complete: ?1" in ended.lower()
        headers = {"X-Auth-Token": token}
        found = requests.get(f"{live.url}/v2/images/{image}/file", headers=headers, timeout=30)
        assert found.content == data
        assert "204 No Content" in run(cancel, tmp_path, **{**names, "IMAGE": other})
        assert "404 Not Found" in run(ask, tmp_path, **{**names, "IMAGE": other})
