"""A disk that really is full, under the store, the database, both, or the cache: see filling.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("what", ["store", "database", "both"])
def test_a_full_disk_stops_uploads_only_and_only_until_there_is_room(tmp_path: Path, what: str) -> None:
    run_on_small_disk(tmp_path, what)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_full_disk_of_the_cache_is_not_noticed_by_readers(tmp_path: Path) -> None:
    run_on_small_disk(tmp_path, "cache")


def run_on_small_disk(tmp_path: Path, what: str) -> None:
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    ran = subprocess.run(
        [*own, sys.executable, "-m", "tests.crashes.filling", what, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if ran.stdout.startswith("refused") or "unshare" in ran.stderr:
        pytest.skip(f"a mount namespace is refused here: {ran.stdout or ran.stderr}")
    assert ran.stdout == "done\n", ran.stderr
