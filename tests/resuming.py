"""Resumable uploads through the operations, and a program that makes them in a process of its own.

Usage: python -m tests.resuming FOLDER URL IMAGE. Each line on the standard input is the offset and the length of a request, which
adds these bytes of `data_of`; the answers are lines: "stored N" for each recorded offset, then "done", or the name of the problem.
"""

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from partage import problems
from partage.content.digest import Buffer
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.partial_upload import Addition, PartialUploadRules
from partage.operations import completions, partial_uploads
from partage.operations.partial_uploads import Progress
from partage.operations.service import Service
from tests import uploading
from tests.crashes import worlds
from tests.services import change_service

RULES = PartialUploadRules(part_bytes=1 << 19)
SIZE_BYTES = 6 << 20


def data_of(image_id: str) -> bytes:
    """Return the image data of an image: the same in every process."""
    return random.Random(image_id).randbytes(SIZE_BYTES)


def begin(
    service: Service, caller: Caller, image_id: ImageID, blocks: Iterable[Buffer] = (), *, length_bytes: int | None = None
) -> None:
    """Begin an upload with some bytes."""
    addition = Addition(offset_bytes=0, is_last=False, length_bytes=length_bytes)
    uploading.push(
        service,
        partial_uploads.begin_upload(service, caller, image_id, addition, store_id=None, progress=quiet()),
        blocks,
    )


def add(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    offset_bytes: int,
    blocks: Iterable[Buffer],
    *,
    stored: Callable[[int], None] = lambda _offset: None,
) -> None:
    """Add bytes to an upload."""
    addition = Addition(offset_bytes=offset_bytes, is_last=False)
    arrival = partial_uploads.continue_upload(service, caller, image_id, addition, progress=quiet(stored))
    uploading.push(service, arrival, blocks)


def complete(service: Service, caller: Caller, image_id: ImageID, offset_bytes: int, *, token: str = "") -> None:
    """Complete an upload that has all bytes."""
    addition = Addition(offset_bytes=offset_bytes, is_last=True, content_bytes=0)
    completion = completions.begin_completion(service, caller, image_id, addition, token=token)
    try:
        while completion.advance():
            pass
    except BaseException as error:
        completion.fail(error)
        raise


def quiet(stored: Callable[[int], None] = lambda _offset: None) -> Progress:
    """Make the progress of a request whose client asks for none, or only for what is stored."""
    return Progress(began=lambda _upload: None, stored=stored)


def main() -> None:
    """Make the requests."""
    folder, url, image_id = Path(sys.argv[1]), sys.argv[2], ImageID(sys.argv[3])
    service = change_service(worlds.compose(folder, url=url), partial_uploads=RULES)
    data = data_of(image_id)
    print("ready", flush=True)
    for line in sys.stdin:
        start, length = map(int, line.split())
        try:
            add(service, worlds.OWNER, image_id, start, _cut(data, start, length), stored=_report)
            print("done", flush=True)
        except problems.Problem as problem:
            print(type(problem).__name__, flush=True)
    service.close()


def _report(offset_bytes: int) -> None:
    print(f"stored {offset_bytes}", flush=True)


def _cut(data: bytes, start: int, length: int) -> Iterable[bytes]:
    return (data[each : min(each + 70_001, start + length)] for each in range(start, start + length, 70_001))


if __name__ == "__main__":
    main()
