"""Copies of images whose filling is killed, and that several processes fill at once: nobody reads a wrong byte."""

import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crashes.copying import make_content
from tests.unit.stores.copying import copy_of, make_fills, read_through

ROOT = Path(__file__).parents[2]
MEBIBYTES = 48


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crashes.copying", str(folder), str(seed), str(MEBIBYTES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("is_same_life", [True, False])
def test_copy_whose_filling_was_killed_is_read_right(tmp_path: Path, is_same_life: bool) -> None:
    """What a killed process has marked is in the page cache. A later start of the service compares it again all the same."""
    seed = random.randrange(1 << 20)
    with start(tmp_path, seed) as process:
        assert read_line(process) == "filling\n"
        time.sleep(random.random() * 0.05)
        process.kill()
    content = make_content(seed, MEBIBYTES)
    cache = make_fills(tmp_path) if is_same_life else make_fills(tmp_path, life=b"the next life...")
    begun = time.monotonic()
    assert read_through(cache, content) == content.data
    assert time.monotonic() - begun < 20, "the lock of a killed process is free"
    assert cache.directory.holds(content.id)
    content.read_bytes = 0
    assert read_through(cache, content) == content.data
    assert content.read_bytes == 0
    cache.close()


def test_processes_that_fill_one_copy_at_once_read_right_bytes(tmp_path: Path) -> None:
    seed = random.randrange(1 << 20)
    with ExitStack() as stack:
        running = [stack.enter_context(start(tmp_path, seed)) for _ in range(3)]
        running[0].kill()
        time.sleep(random.random() * 0.1)
        lines = [read_line(process) for process in running[1:] for _ in range(2)]
    assert [line.split()[0] for line in lines] == ["filling", "right"] * 2
    content, cache = make_content(seed, MEBIBYTES), make_fills(tmp_path)
    copy = copy_of(cache, content)
    assert copy.is_complete()
    assert copy.read(0, copy.size_bytes) == content.data
    cache.close()
