"""A program that does one operation on a data folder, is killed on the way, and afterwards looks at what is left.

It is a server of its own, so that the modules are loaded once: each request on standard input forks a process that knows nothing of
the others, each answer is a line of JSON. Run by tests/crashes/acts.py.
"""

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from partage import problems
from partage.content.manifest import digests
from partage.model.ids import ImageID, ProjectID
from partage.model.quota import Usage
from partage.operations import recovery, sweep, verify
from partage.operations.service import Service
from partage.records import contents, reservations, schema
from partage.stores import layout
from tests.crashes import power, tracing, worlds

LATER = timedelta(hours=2)
"""Long enough for the sweep to take an object without a row for the leftover of a crash."""


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])
    word: Callable[[], str] = {
        "make": lambda: _make(folder, request["url"]),
        "act": lambda: _act(folder, request["url"], request["act"]),
        "insist": lambda: _insist(folder, request["url"], request["act"]),
        "look": lambda: _look(folder, request),
    }[request["do"]]
    disk = power.Disk(folder) if "leave" in request else None
    try:
        outcome = tracing.run(word, _plan(folder, request, disk))
        if disk is not None:
            disk.leave(Path(request["leave"]), early_names=request["early_names"])
    except tracing.Refused as refused:
        return {"refused": str(refused)}
    return {"word": outcome.word, "killed": outcome.killed, "calls": [str(call) for call in outcome.calls]}


def _plan(folder: Path, request: dict[str, Any], disk: power.Disk | None) -> tracing.Plan:
    counted = _to_database_server if request["url"] else _to_files
    return tracing.Plan(
        only=lambda call: counted(call, folder),
        kill_at=request.get("kill_at", 0),
        fail_at=request.get("fail_at", 0),
        error=request.get("error", 0),
        watch=(lambda _thread, _call: None) if disk is None else disk.watch,
    )


def _to_files(call: tracing.Call, folder: Path) -> bool:
    return call.target.startswith(str(folder))


def _to_database_server(call: tracing.Call, folder: Path) -> bool:
    return _to_files(call, folder) or call.target.startswith("socket:")


def _make(folder: Path, url: str) -> str:
    service = worlds.compose(folder, url=url)
    worlds.make(service)
    before = worlds.state(service)
    service.database.close()
    return json.dumps(before)


def _act(folder: Path, url: str, act: str) -> str:
    _do(worlds.compose(folder, url=url), act)
    return "done"


def _insist(folder: Path, url: str, act: str) -> str:
    """Do it, and once more in the same process when a problem stood in the way; tell the problem."""
    try:
        service = worlds.compose(folder, url=url)
    except problems.Unavailable as problem:
        service = worlds.compose(folder, url=url)
        word = f"{type(problem).__name__}, then {_again(service, act)}"
    else:
        word = _insist_on(service, act)
    resources = service.stores.writer_resources
    left = [f"{pool.in_use} buffers" for pool in (resources.pieces, resources.extents) if pool.in_use]
    resources.close()
    service.stores.read_ahead.close()
    left += [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    service.database.close()
    gc.collect()  # exceptions refer to themselves by their tracebacks, and to cursors, which keep their connection's files open
    opened = [str(found) for found in map(_opened, Path("/proc/self/fd").iterdir()) if found and found.is_relative_to(folder)]
    return f"{word}; left: {left + opened}" if left or opened else word


def _insist_on(service: Service, act: str) -> str:
    try:
        _do(service, act)
    except problems.Problem as problem:
        if act != "first-start":
            recovery.recover(service)
        return f"{type(problem).__name__}, then {_again(service, act)}"
    return "done"


def _do(service: Service, act: str) -> None:
    if act == "first-start":
        schema.upgrade(service.database)
    else:
        worlds.ACTS[act].do(service)


def _again(service: Service, name: str) -> str:
    """Do an operation again: it works, or says that it has happened already."""
    try:
        _do(service, name)
    except problems.Problem as problem:
        repeated = worlds.ACTS[name].repeated
        return "done before" if repeated is not None and isinstance(problem, repeated) else f"refused: {problem!r}"
    return "done"


def _opened(link: Path) -> Path | None:
    try:
        return link.readlink()
    except FileNotFoundError:
        return None


def _look(folder: Path, request: dict[str, Any]) -> str:
    """Start as a worker does, and hold everything that must be true against what is there."""
    started = time.monotonic()
    service = worlds.compose(folder, url=request["url"])
    schema.upgrade(service.database)
    recovery.recover(service)
    seconds = time.monotonic() - started
    if request["act"] in worlds.ACTS and worlds.ACTS[request["act"]].goes_on:
        worlds.ACTS[request["act"]].do(service)
    found = worlds.state(service)
    _check_references(service)
    _check_usage(service)
    _check_events(service)
    _check_events_of_guards_and_codes(service)
    repeated = _again(service, request["act"]) if request["act"] in worlds.ACTS else "done"
    if repeated == "done before" and found == request["before"]:
        repeated = "refused, and had not been done before"
    after = worlds.state(service, with_bytes=False)
    _check_nothing_is_left(replace(service, clock=lambda: datetime.now(UTC) + LATER), folder)
    faults = [verdict.fault for verdict in verify.verify(service) if verdict.fault]
    if worlds.state(service, with_bytes=False) != after:
        faults.append("the sweep changed what clients see")
    return json.dumps({"seconds": seconds, "found": found, "faults": faults, "repeated": repeated, "after": after})


def _check_references(service: Service) -> None:
    """Nothing that an image names is missing: neither chunk, nor pack, nor object."""
    store = service.stores.by_id[worlds.LOCAL].store
    with service.database.read() as tx:
        live = {digest for segment in contents.walk_live_segments(tx, worlds.LOCAL) for digest in digests(segment)}
        places = contents.locate(tx, worlds.LOCAL, live)
        packs = {each.id for each in contents.list_packs(tx, worlds.LOCAL)}
    assert set(places) == live, "a manifest names a chunk that is in no pack"
    for pack_id in {place.pack_id for place in places.values()}:
        assert pack_id in packs, "a chunk lies in a pack that is not known"
        assert store.stat(layout.pack_key(pack_id)) is not None, "a pack is not in the store"


def _check_usage(service: Service) -> None:
    """What the owner's project is charged is what its images have; nothing is kept for an upload that died."""
    with service.database.read() as tx:
        usage = reservations.usage(tx, ProjectID("A"), now=datetime.now(UTC))
        sizes = [size or 0 for (size,) in tx.exec_driver_sql("SELECT size FROM images WHERE owner = 'A'")]
    assert usage == Usage(stored_bytes=sum(sizes), images=len(sizes)), f"{usage} is charged for images of {sizes}"
    assert worlds.kept_rooms(service) == 0, "room is kept for an upload that died"


def _check_events(service: Service) -> None:
    """There is an event if and only if there is its change: the events, carried out in order, make what is there."""
    created, left, with_data = set[str](), set[str](), set[str]()
    offered, current = set[tuple[str, str]](), set[tuple[str, str]]()
    with service.database.read() as tx:
        for kind, image, member in tx.exec_driver_sql("SELECT type, image_id, member_id FROM events ORDER BY id"):
            share = (str(image), str(member))
            if kind in {"image.created", "image.adopted"}:
                created.add(image)
            if kind in {"image.activated", "image.adopted"}:
                with_data.add(image)
            if kind == "image.deleted":
                left.add(image)
            elif kind == "image.restored":
                left.discard(image)
            elif kind == "share.offered":
                offered.add(share)
            if kind in {"share.offered", "share.ending_cancelled"}:
                current.add(share)
            elif kind in {"share.ended", "share.left"}:
                current.discard(share)

        def ids(statement: str) -> set[str]:
            return {str(row[0]) for row in tx.exec_driver_sql(statement)}

        there, gone = ids("SELECT id FROM images"), ids("SELECT id FROM deleted_images")
        retained = ids("SELECT id FROM images WHERE former_owner IS NOT NULL")
        readable = ids("SELECT id FROM images WHERE status IN ('active', 'deactivated')")
        shares = {tuple(row) for row in tx.exec_driver_sql("SELECT image_id, member_id FROM members")}
        shares |= {tuple(row) for row in tx.exec_driver_sql("SELECT image_id, member_id FROM endings")}
    assert created == there | gone, "an image and its creation"
    assert left == gone | retained, "a deletion and its event"
    assert with_data - gone == readable, "image data and its event"
    assert current <= shares <= offered, "a share and its events"


def _check_events_of_guards_and_codes(service: Service) -> None:
    """There is a guard, and a claim code, if and only if its events say so. The code of the world was made without an event."""
    with service.database.read() as tx:
        switched = {row[0] for row in tx.exec_driver_sql("SELECT image_id FROM events WHERE type = 'image.guard_switched'")}
        guards = {row[0] for row in tx.exec_driver_sql("SELECT image_id FROM guards")}
        of_codes = "type IN ('image.claim_code_created', 'image.claim_code_revoked')"
        rows = tx.exec_driver_sql(f"SELECT type, image_id, data FROM events WHERE {of_codes} ORDER BY id")
        told = [(kind, image, json.loads(data)["code_id"]) for kind, image, data in rows]
        there = {row[0] for row in tx.exec_driver_sql("SELECT id FROM claim_codes")}
        images = {row[0] for row in tx.exec_driver_sql("SELECT id FROM images")}
    assert switched & images == guards, "a guard and its event"
    made = {code for kind, image, code in told if kind == "image.claim_code_created" and image in images}
    revoked = {code for kind, _image, code in told if kind == "image.claim_code_revoked"}
    assert there - {worlds.CODE.id} == made - revoked, "a claim code and its events"
    assert worlds.CODE.id not in there & revoked, "a revoked claim code"


def _check_nothing_is_left(service: Service, folder: Path) -> None:
    """After a sweep whose grace has passed, only what images name is stored."""
    sweep.sweep(service, grace=worlds.NO_GRACE)
    sweep.sweep(service, grace=worlds.NO_GRACE)
    with service.database.read() as tx:
        live = {digest for segment in contents.walk_live_segments(tx, worlds.LOCAL) for digest in digests(segment)}
        indexed = {digest for digest, _ in contents.walk_chunks(tx, worlds.LOCAL)}
        packs = {layout.pack_key(each.id) for each in contents.list_packs(tx, worlds.LOCAL)}
        unnamed = [each.id for each in contents.page_contents(tx) if not _names(tx, each.id)]
    stored = {path.relative_to(folder / "store").as_posix() for path in (folder / "store").rglob("*") if path.is_file()}
    assert indexed == live, "chunks are kept that nothing names"
    assert stored == packs, f"objects are kept that no pack row knows: {stored - packs}, or are missing: {packs - stored}"
    assert not unnamed, "contents are kept that no image names"


def _names(tx: Any, content_id: Any) -> list[ImageID]:
    return [ImageID(each) for (each,) in tx.exec_driver_sql(f"SELECT id FROM images WHERE content_id = '{content_id}'")]


if __name__ == "__main__":
    main()
