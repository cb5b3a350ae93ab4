"""The commands of docs/installation.md work, in their order, beside a real Keystone and PostgreSQL.

What belongs to a machine of its own is replaced: directories, packages and users of the system, and systemd, for which a stand-in
starts the programs of the units.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from partage.main.process import listening
from tests import postgresql, standalone
from tests.standalone import RunningKeystone

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "installation.md"
BINARIES = Path(sys.executable).parent
OF_A_MACHINE = ("TLS",)
"""Sections that tests/main/test_deployment_files.py has: nginx with the shipped file."""

STAND_INS = {
    # runuser -u NAME -- COMMAND, and PostgreSQL's own tools at the test's server
    "runuser": 'shift 3; exec "$@"',
    "psql": 'exec /usr/bin/psql -h "$SOCKET" -U partage postgres "$@"',
    "createdb": 'exec /usr/bin/createdb -h "$SOCKET" -U partage --maintenance-db postgres "$@"',
    # the units' programs, with the configuration that the page wrote
    "systemctl": 'case "$1 $2" in "enable --now") '
    'for each in serve worker; do partage $each --config "$ETC/partage.toml" >"$ETC/$each.log" 2>&1 & echo $! >>"$ETC/pids"; done; '
    'for _ in $(seq 600); do curl -fs "http://127.0.0.1:$SERVED/readiness" && exit; sleep 0.1; done; exit 1;; esac',
    **dict.fromkeys(("apt-get", "useradd", "chown", "ln", "cp", "install"), "exit 0"),
}


@pytest.fixture
def empty_keystone(tmp_path: Path) -> Iterator[RunningKeystone]:
    """Run a Keystone that knows no image service."""
    (tmp_path / "keystone").mkdir()
    with standalone.keystone(tmp_path / "keystone") as running:
        for kind, name in (("user", "partage"), ("service", "glance")):
            (found,) = running.call("GET", f"/{kind}s?name={name}")[f"{kind}s"]
            running.call("DELETE", f"/{kind}s/{found['id']}")
        yield running


@pytest.fixture
def database_socket() -> Iterator[str]:
    with postgresql.server() as url:
        yield url.partition("host=")[2]


def list_blocks() -> dict[str, str]:
    """Return the commands of each section of the page."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        heading, _line, text = section.partition("\n")
        blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
        found[heading] = "".join(re.sub(r"^    ", "", each, flags=re.MULTILINE) for each in blocks)
    return found


@pytest.mark.slow
def test_commands_of_the_page_install_a_service_with_an_image(
    empty_keystone: RunningKeystone, database_socket: str, tmp_path: Path
) -> None:
    etc, data, shims = (tmp_path / name for name in ("etc", "data", "bin"))
    for each in (etc, data, shims):
        each.mkdir()
    for name, text in STAND_INS.items():
        (shims / name).write_text(f"#!/bin/bash\n{text}\n")
        (shims / name).chmod(0o755)
    port = listening.find_free_port()
    blocks = {heading: text for heading, text in list_blocks().items() if heading not in OF_A_MACHINE}
    assert {"The database", "Keystone", "Configuration", "Start", "The first image"} <= set(blocks)
    script = "set -ex\n" + "\n".join(f"# {heading}\n{text}" for heading, text in blocks.items())
    for shown, actual in {
        "https://keystone.example:5000/v3": f"{empty_keystone.url}/v3",
        "https://images.example:9292": f"http://127.0.0.1:{port}",
        "127.0.0.1:9292": f"127.0.0.1:{port}",
        "/etc/partage": str(etc),
        "/var/lib/partage": str(data),
        "@localhost/partage": f"@/partage?host={database_socket}",
        "CREATE ROLE partage LOGIN": "ALTER ROLE partage",
        "OS_CLOUD=admin": "OS_CLOUD=administrator",
        "/opt/partage/bin/pip": "true",
        "python3 -m venv": "true",
    }.items():
        assert shown in script, shown
        script = script.replace(shown, actual)
    (tmp_path / "clouds.yaml").write_text(_write_cloud(empty_keystone))
    environment = {
        **os.environ,
        "PATH": f"{shims}:{BINARIES}:{os.environ['PATH']}",
        "SOCKET": database_socket,
        "ETC": str(etc),
        "SERVED": str(port),
        "PARTAGE_PORT": str(port),
        "PYTHONWARNINGS": "ignore",
    }
    try:
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Images               1, and" in done.stdout
        assert '"ready":true' in done.stdout
    finally:
        for pid in (etc / "pids").read_text().split() if (etc / "pids").exists() else ():
            os.kill(int(pid), 15)
            standalone.wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), seconds=60)


def test_page_has_the_steps_of_an_installation() -> None:
    blocks = list_blocks()
    assert [*blocks][:6] == ["Names and passwords", "The program", "The database", "Keystone", "Configuration", "Start"]
    assert blocks["Configuration"].count("END") == 2


def _write_cloud(keystone: RunningKeystone) -> str:
    return f"""\
clouds:
  administrator:
    region_name: RegionOne
    auth:
      auth_url: {keystone.url}/v3
      username: admin
      password: "{keystone.admin_password}"
      project_name: admin
      user_domain_id: default
      project_domain_id: default
"""
