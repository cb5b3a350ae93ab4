"""Free memory between blocks that are in use goes back to the kernel."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20
COUNT = 64
PROGRAM = f"""
import json, os
from pathlib import Path
from partage.main.process import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

memory.reuse_freed_buffers()
large, small = [], []
for _ in range({COUNT}):
    large.append(bytearray(b"x") * {MEBIBYTE})
    small.append(bytearray(b"x") * 4096)
full = resident()
large.clear()
freed = resident()
memory.return_free_memory()
print(json.dumps([full, freed, resident()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_free_memory_between_used_blocks_is_returned_to_the_kernel() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True)
    full, freed, trimmed = json.loads(ran.stdout)
    assert full - freed < COUNT * MEBIBYTE / 2, "the C library keeps what is freed, to use it again"
    assert freed - trimmed > COUNT * MEBIBYTE / 2
