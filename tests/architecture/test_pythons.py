"""`make pythons`: the suites on each Python, one line for each at the end, and a failure of one is a failure of all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough  # each test runs pytest on a Python

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder that has an installed environment of this Python already: the one that runs this test."""
    environment = tmp_path / VERSION
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    (environment / ".installed").touch()
    return tmp_path


def run(folder: Path, content: str, *pythons: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a test file on these Pythons, or on those of `path`."""
    (folder / "test_it.py").write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    given = {"PYTHONS": " ".join(pythons), "FOLDER": str(folder), "PROCESSES": "0", "PATH": path or os.environ["PATH"]}
    tests = f"-q -p no:randomly -c {os.devnull} {folder / 'test_it.py'}"
    return subprocess.run(
        [ROOT / "scripts" / "pythons", tests],
        cwd=ROOT,
        env=kept | given,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(("content", "status", "told"), [("pass", 0, "passed: 1 passed"), ("assert not 1", 1, "failed: 1 failed")])
def test_line_and_exit_status_report_each_python(folder: Path, content: str, status: int, told: str) -> None:
    ended = run(folder, f"def test_it(): {content}", sys.executable)
    assert ended.returncode == status, ended.stdout
    assert ended.stdout.splitlines()[-1].startswith(f"Python {VERSION}: {told} in ")


def test_python_that_is_named_twice_runs_once(folder: Path) -> None:
    ended = run(folder, "def test_it(): pass", sys.executable, f"{sys.prefix}/bin/python3")
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count(f"Python {VERSION}: ") == 1


def test_python_that_is_named_and_absent_fails_after_the_others(folder: Path) -> None:
    ended = run(folder, "def test_it(): pass", "/nowhere/python3", sys.executable)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()[-2:]
    assert lines[0] == "/nowhere/python3: no Python 3.11 or later"
    assert lines[1].startswith(f"Python {VERSION}: passed")


def test_absence_of_python_is_an_error_that_names_the_remedy(folder: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for each in ("dirname", "mkdir", "sh"):
        (tools / each).symlink_to(f"/bin/{each}")
    ended = run(folder, "", path=str(tools))
    assert ended.returncode == 1
    assert "install one, or name paths: make pythons PYTHONS=" in ended.stderr
