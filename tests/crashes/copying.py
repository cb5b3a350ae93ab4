"""A process that fills a copy, to be killed, or to fill it beside another one. Run by test_copies_killed.py.

Usage: python -m tests.crashes.copying FOLDER SEED MEBIBYTES. Prints `filling` once a part of the copy may be sent, and `right` or
`wrong` when everything has been read.
"""

import random
import sys
from pathlib import Path

from tests.unit.stores.copying import Content, copy_of, make_fills, read_through


def make_content(seed: int, mebibytes: int) -> Content:
    """Make the same content in every process."""
    return Content(random.Random(seed).randbytes(mebibytes << 20), name=f"{seed:032x}")


def main() -> None:
    """Fill and read."""
    folder, seed, mebibytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    content, cache = make_content(seed, mebibytes), make_fills(folder)
    cache.take(copy_of(cache, content), 0, len(content.data), content)
    print("filling", flush=True)
    print("right" if read_through(cache, content) == content.data else "wrong", content.read_bytes, flush=True)
    cache.close()


if __name__ == "__main__":
    main()
