"""What the POSIX driver promises beyond the protocol: durability's order, errors of the system, and leftovers."""

import errno
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.stores import identity
from partage.stores.drivers import posix
from partage.stores.identity import Identity

KEY = "packs/ab/" + "ab" * 16

PUT = f"""
import sys
from pathlib import Path
from partage import problems
from partage.stores.drivers import posix
try:
    posix.PosixStore(Path(sys.argv[1])).put("{KEY}", [b"x" * 10000])
    print("put")
except problems.Problem as problem:
    print(type(problem).__name__)
"""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def put_under_strace(root: Path, *arguments: Any) -> Any:
    command = ["strace", "-f", "-qq", "-o", str(root / "trace"), *arguments, sys.executable, "-c", PUT, str(root / "store")]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )


@needs_strace
def test_data_name_and_directory_are_synced_in_order(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    ran = put_under_strace(tmp_path, "-y", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2")
    assert ran.stdout == "put\n", ran.stderr
    steps = [line.split(" ", 1)[1].strip() for line in (tmp_path / "trace").read_text().splitlines() if str(tmp_path) in line]
    named = [step.split("(")[0] for step in steps]
    rename = next(number for number, name in enumerate(named) if name.startswith("rename"))
    assert "incoming/" in steps[rename - 1], "the file is synced last before it gets its name"
    assert named[rename - 1 :] == ["fdatasync", named[rename], "fsync"]
    assert re.fullmatch(r"fsync\(.*packs/ab>.*", steps[-1])
    assert [step for step in steps[:rename] if "/store>" in step], "new folders are durable in their parents, too"


@pytest.mark.thorough
@needs_strace
@pytest.mark.parametrize(
    ("call", "error", "problem"),
    [
        ("fdatasync", "EIO", "StoreUnavailable"),
        ("fdatasync", "ENOSPC", "StoreFull"),
        ("fdatasync", "EDQUOT", "StoreFull"),
        ("fsync", "EIO", "StoreUnavailable"),
        ("writev", "EIO", "StoreUnavailable"),
        ("writev", "ENOSPC", "StoreFull"),
        ("/^rename", "EACCES", "StoreUnavailable"),
        ("/^mkdir", "EROFS", "StoreUnavailable"),
        ("/^mkdir", "ENOSPC", "StoreFull"),
    ],
)
def test_errors_of_the_system_are_problems_and_leave_nothing(tmp_path: Path, call: Any, error: Any, problem: Any) -> None:
    """Each call of the kind fails in its turn until a run meets none; a put that failed can be repeated."""
    root = tmp_path / "store"
    for number in range(1, 12):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        ran = put_under_strace(tmp_path, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}")
        left = list((root / "incoming").glob("*"))
        if ran.stdout == "put\n":
            assert number > 1
            return
        assert ran.stdout == f"{problem}\n", ran.stderr
        assert left == []
        posix.PosixStore(root).put(KEY, [b"again"])
    pytest.fail("the put never succeeded")


def test_limit_on_file_size_is_store_full_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n{PUT}"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ran.stdout == "StoreFull\n", ran.stderr
    assert list((tmp_path / "incoming").iterdir()) == []


def test_root_that_vanished_is_store_unavailable(tmp_path: Path) -> None:
    store = posix.PosixStore(tmp_path / "gone")
    for call in (lambda: store.put(KEY, [b"x"]), lambda: store.get(KEY, 0, 1), lambda: store.stat(KEY), lambda: store.remove(KEY)):
        with pytest.raises(problems.StoreUnavailable):
            call()
    with pytest.raises(problems.StoreUnavailable):
        list(store.enumerate(""))


def test_problems_contain_no_paths(tmp_path: Path) -> None:
    store = posix.PosixStore(tmp_path / "gone")
    with pytest.raises(problems.StoreUnavailable) as caught:
        store.put(KEY, [b"x"])
    assert str(tmp_path) not in caught.value.sentence()
    assert os.strerror(errno.ENOENT) in caught.value.sentence()


def test_draft_is_recognised_by_its_folder(tmp_path: Path) -> None:
    store = posix.PosixStore(tmp_path)
    store.put(KEY, [b"x"])
    (tmp_path / "incoming" / "left.0badcafe").write_bytes(b"half")
    assert list(store.enumerate("")) == [KEY]
    assert list(store.enumerate("incoming/")) == []
    (tmp_path / "incoming" / f"{'ab' * 16}.0badcafe").write_bytes(b"half")
    (tmp_path / "incoming" / "of somebody").write_bytes(b"half")
    drafts = {draft.name.removeprefix("incoming/"): draft for draft in store.list_drafts()}
    keys = {name: draft.key for name, draft in drafts.items()}
    assert keys == {"left.0badcafe": "left", f"{'ab' * 16}.0badcafe": KEY, "of somebody": None}
    for _ in range(2):
        store.remove_draft(drafts["left.0badcafe"])
    assert sorted(draft.key for draft in store.list_drafts() if draft.key) == [KEY]


@pytest.mark.parametrize("folder", ["incoming", "packs/ab", "packs"])
def test_folder_removed_by_somebody_is_made_again(tmp_path: Path, folder: str) -> None:
    store = posix.PosixStore(tmp_path)
    store.put(KEY, [b"x"])
    shutil.rmtree(tmp_path / folder)
    store.put(KEY, [b"again"])
    assert store.get(KEY, 0, 5) == b"again"


HERE = Identity("1" * 32, "2" * 32, 0)


def identified(root: Path) -> posix.PosixStore:
    root.mkdir(exist_ok=True)
    identity.write(posix.PosixStore(root), HERE)
    return posix.PosixStore(root, identity=HERE)


def refuse_everything(store: posix.PosixStore) -> None:
    calls = (
        lambda: store.put(KEY, [b"x"]),
        lambda: store.get(KEY, 0, 1),
        lambda: store.stat(KEY),
        lambda: store.remove(KEY),
        lambda: list(store.enumerate("")),
    )
    for call in calls:
        with pytest.raises(problems.StoreUnavailable):
            call()


def test_directory_without_the_identity_is_refused_and_left_alone(tmp_path: Path) -> None:
    """As a mount point is from which the file system has gone; when it is back, the store works again."""
    store = identified(tmp_path / "store")
    store.put(KEY, [b"x"])
    (tmp_path / "store").rename(tmp_path / "away")
    refuse_everything(store)
    (tmp_path / "store").mkdir()
    refuse_everything(store)
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store").rmdir()
    (tmp_path / "away").rename(tmp_path / "store")
    assert store.get(KEY, 0, 1) == b"x"
    store.put(KEY, [b"y"])


@pytest.mark.parametrize("other", [Identity("3" * 32, "2" * 32, 0), Identity("1" * 32, "3" * 32, 0)])
def test_directory_with_another_identity_is_refused(tmp_path: Path, other: Identity) -> None:
    store = identified(tmp_path)
    store.put(KEY, [b"x"])
    identity.write(posix.PosixStore(tmp_path), other)
    refuse_everything(store)
    (tmp_path / "identity").write_bytes(b"{")
    refuse_everything(store)


def test_later_generation_of_the_same_identity_is_served(tmp_path: Path) -> None:
    store = identified(tmp_path)
    store.put(KEY, [b"x"])
    identity.write(posix.PosixStore(tmp_path), replace(HERE, generation=7))
    assert store.get(KEY, 0, 1) == b"x"


MOUNTED = f"""
import subprocess, sys
from pathlib import Path
from partage import problems
from partage.stores import identity
from partage.stores.drivers import posix
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
here = identity.Identity("1" * 32, "2" * 32, 0)
identity.write(posix.PosixStore(root), here)
store = posix.PosixStore(root, identity=here)
store.put("{KEY}", [b"x"])
subprocess.run(["umount", root], check=True)  # no descriptor of an idle store keeps it busy
for call in (lambda: store.put("{KEY}", [b"x"]), lambda: store.get("{KEY}", 0, 1)):
    try:
        call()
        print("done")
    except problems.StoreUnavailable:
        print("refused")
print(list(root.iterdir()))
"""


def test_store_that_is_unmounted_while_it_runs_is_refused(tmp_path: Path) -> None:
    """With a real file system in a mount namespace of its own."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody make a mount namespace")
    ran = subprocess.run(
        [*unshare, sys.executable, "-c", MOUNTED, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ran.stdout.splitlines() == ["refused", "refused", "[]"], ran.stderr


def test_files_are_for_the_service_alone(tmp_path: Path) -> None:
    posix.PosixStore(tmp_path).put(KEY, [b"x"])
    assert (tmp_path / KEY).stat().st_mode & 0o077 == 0


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    store = posix.PosixStore(tmp_path)
    for _turn in range(20):
        store.put(KEY, [b"x"])
        store.get(KEY, 0, 1)
        with pytest.raises(problems.ContentCorrupt):
            store.get(KEY, 0, 2)
    links = [Path(entry.path) for entry in os.scandir("/proc/self/fd")]
    # Not all descriptors: threads of earlier tests may close theirs meanwhile.
    assert not [each for each in links if each.is_symlink() and each.readlink().is_relative_to(tmp_path)]
