"""A database connection that a test leaves open fails the run, and the failure names the test that opened it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough  # each test runs pytest in a process of its own

ROOT = Path(__file__).parents[2]
LEFT_TO_THE_COLLECTOR = """
import gc, sqlite3

def test_opener():
    sqlite3.connect(":memory:")
    gc.collect()
"""
KEPT_FOR_EVER = """
import sqlite3
kept = []

def test_opener():
    kept.append(sqlite3.connect(":memory:"))
"""
CLOSED_AT_THE_END = """
from tests import databases

def test_opener(tmp_path):
    with databases.open_database(f"sqlite:///{tmp_path}/new.db").read() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar() == 1
"""


@pytest.mark.parametrize("content", [LEFT_TO_THE_COLLECTOR, KEPT_FOR_EVER], ids=["left to the collector", "kept for ever"])
def test_connection_left_open_fails_the_run(content: str, tmp_path: Path) -> None:
    ended = run(content, tmp_path)
    assert ended.returncode == 1, ended.stdout
    assert "connection to :memory:, opened by" in ended.stdout
    assert "::test_opener" in ended.stdout


def test_database_of_a_test_is_closed_after_it(tmp_path: Path) -> None:
    ended = run(CLOSED_AT_THE_END, tmp_path)
    assert ended.returncode == 0, ended.stdout


def run(content: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one test file with the settings and the fixtures of this project."""
    (folder / "test_leak.py").write_text(content)
    options = ("-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder / "test_leak.py")],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
