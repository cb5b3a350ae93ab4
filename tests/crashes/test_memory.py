"""However large an image is, a stream of it takes the same bounded memory: see streaming.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashes.worlds import MEBIBYTE

ROOT = Path(__file__).parents[2]
GROWTH = 32 * MEBIBYTE


@pytest.mark.parametrize("megabytes", [128, pytest.param(1024, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_image(tmp_path: Path, megabytes: int) -> None:
    command = [sys.executable, "-m", "tests.crashes.streaming", str(tmp_path), str(megabytes)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert not ran.returncode, ran.stderr
    grown = json.loads(ran.stdout)
    print(f"{megabytes} MiB: {', '.join(f'{what} +{size / MEBIBYTE:.1f} MiB' for what, size in grown.items())}")
    assert max(grown.values()) <= GROWTH, grown
