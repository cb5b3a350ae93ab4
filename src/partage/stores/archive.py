"""A backup in a folder: a copy of a database and of the packs in its stores, with the digest of every file. Knows no database.

DIR/
  backup.json      what is in it, written last: without it a backup is unfinished
  SHA256SUMS       one line for each other file, as sha256sum writes and checks them
  partage.db       the database
  stores/
    9a0b…/         one folder for each store, named by the store's id, with the store's own tree in it
      identity
      packs/3f/3f9c1a…
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from partage import problems
from partage.stores.drivers.posix import PosixStore
from partage.stores.store import Store

VERSION = 1
DATABASE = "partage.db"

_MANIFEST = "backup.json"
_SUMS = "SHA256SUMS"
_STORES = "stores"
_BLOCK_BYTES = 1 << 20
_OBJECT = re.compile(rf"{_STORES}/[0-9a-f]{{32}}/(identity|packs/[0-9a-f]{{2}}/[0-9a-f]{{32}})")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Archive:
    """The description of a backup. `stores`: the name of each store by its id; `missing`: packs that were missing already."""

    created_at: str
    release: str
    database: str
    stores: Mapping[str, str]
    sums: Mapping[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of a backup. `is_link`: it is a hard link to the store's file."""

    sha256: str
    size_bytes: int
    is_link: bool


def name_of(store: str, key: str) -> str:
    """Return the file name of an object of the store with this id."""
    return f"{_STORES}/{store}/{key}"


def parts_of(name: str) -> tuple[str, str]:
    """Split a file name of `name_of` into the store's id and the key."""
    _stores, store, key = name.split("/", 2)
    return store, key


def prepare(folder: Path) -> None:
    """Create an empty folder with mode 0700.

    Raises:
        Invalid: there is something in it, or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise problems.Invalid(f"{folder} is not empty; name a directory that is, or that is not there yet")
    except OSError as error:
        raise problems.Invalid(f"The directory {folder} cannot be used: {error.strerror}; name another") from error


def add_object(folder: Path, name: str, source: Store, key: str) -> Copied:
    """Add an object of a store to a backup: a hard link if possible, otherwise a copy.

    Raises:
        ContentCorrupt: the store does not have it.
        StoreUnavailable, StoreFull: it cannot be read, or there is no room for it.
    """
    target = folder / name
    with _failures(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if isinstance(source, PosixStore) and source.link(key, target):
            return Copied(digest_of(target), target.stat().st_size, is_link=True)
        found = source.stat(key)
        if found is None:
            raise problems.ContentCorrupt(f"The store should hold {key} and does not; restore it from a backup")
        steps = range(0, found.size_bytes, _BLOCK_BYTES)
        blocks = (source.get(key, start, min(_BLOCK_BYTES, found.size_bytes - start)) for start in steps)
        return Copied(write_file(target, blocks), found.size_bytes, is_link=False)


def add_bytes(folder: Path, name: str, encoded: bytes) -> Copied:
    """Add a small file to a backup.

    Raises:
        StoreUnavailable, StoreFull: it cannot be written.
    """
    target = folder / name
    with _failures(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Copied(write_file(target, [encoded]), len(encoded), is_link=False)


def finish(folder: Path, archive: Archive) -> None:
    """Make all files durable, then write the description, which marks the backup as complete.

    Raises:
        StoreUnavailable, StoreFull: it cannot be written.
    """
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(archive.sums.items())).encode()
    document = {
        "partage_backup": VERSION,
        "created_at": archive.created_at,
        "release": archive.release,
        "database": archive.database,
        "stores": dict(archive.stores),
        "missing": list(archive.missing),
        "sha256sums": hashlib.sha256(sums).hexdigest(),
    }
    with _failures(folder):
        write_file(folder / _SUMS, [sums])
        sync_tree(folder)
        draft = folder / f"{_MANIFEST}.new"
        write_file(draft, [orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])
        draft.rename(folder / _MANIFEST)
        sync_folder(folder)


def read(folder: Path) -> Archive:
    """Read the description of a backup.

    Raises:
        Invalid: it is no backup, an unfinished one, a damaged one, or one of a newer release.
    """
    try:
        document = orjson.loads((folder / _MANIFEST).read_bytes())
        version = document["partage_backup"]
        if version != VERSION:
            raise problems.Invalid(
                f"The backup in {folder} has version {version}, and this release reads {VERSION}; install a newer one"
            )
        encoded = (folder / _SUMS).read_bytes()
        if hashlib.sha256(encoded).hexdigest() != document["sha256sums"]:
            raise problems.Invalid(f"{folder / _SUMS} is damaged; use another backup")
        sums = {match[2]: match[1] for line in encoded.decode().splitlines() if (match := _LINE.fullmatch(line))}
        return Archive(
            created_at=str(document["created_at"]),
            release=str(document["release"]),
            database=str(document["database"]),
            stores={str(key): str(value) for key, value in document["stores"].items()},
            sums=sums,
            missing=tuple(map(str, document["missing"])),
        )
    except FileNotFoundError as absent:
        raise problems.Invalid(
            f"{folder} is no backup, or one that was not finished: {Path(absent.filename).name} is missing"
        ) from absent
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise problems.Invalid(f"The backup in {folder} cannot be read: {error}") from error


def find_fault(folder: Path, archive: Archive) -> str | None:
    """Compare every file with its digest; return the first fault, or None."""
    if DATABASE not in archive.sums:
        return f"{DATABASE} is not in it"
    for name, expected in sorted(archive.sums.items()):
        if name != DATABASE and not _OBJECT.fullmatch(name):
            return f"{name} does not belong to a backup"
        try:
            found = digest_of(folder / name)
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if found != expected:
            return f"{name} is not what was backed up"
    return None


def copy_file(source: Path, target: Path) -> str:
    """Copy a file of a backup to its place, durably except for its name; return its digest.

    Raises:
        StoreUnavailable, StoreFull: it cannot be.
    """
    with _failures(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with source.open("rb") as opened:
            return write_file(target, iter(lambda: opened.read(_BLOCK_BYTES), b""))


def write_file(target: Path, blocks: Iterator[bytes] | list[bytes]) -> str:
    """Write a new file with mode 0600, durably except for its name; return its digest."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        for block in blocks:
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync_tree(folder: Path) -> None:
    """Make the names in a folder and below it durable."""
    for path, _folders, _files in os.walk(folder):
        sync_folder(Path(path))
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _failures(target: Path) -> Iterator[None]:
    """Translate system errors. The sentence names the file, because only the operator reads it."""
    try:
        yield
    except OSError as error:
        raise problems.StoreUnavailable(f"{target} cannot be written or read: {error.strerror}") from error
