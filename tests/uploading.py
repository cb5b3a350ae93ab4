"""Image data pushed into the operations from an iterable, in pieces as the edge does it."""

from collections.abc import Iterable

from partage.content.digest import Buffer
from partage.model.caller import Caller
from partage.model.ids import ImageID, StoreID
from partage.operations import uploads
from partage.operations.ingest import Arrival
from partage.operations.service import Service
from partage.stores.engine.buffers import Piece


def upload(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    blocks: Iterable[Buffer],
    *,
    announced_bytes: int | None = None,
    store_id: StoreID | None = None,
    token: str = "",
) -> None:
    """Upload image data; what `blocks` raises ends the upload as a client that goes away does."""
    push(
        service,
        uploads.begin_upload(service, caller, image_id, announced_bytes=announced_bytes, store_id=store_id, token=token),
        blocks,
    )


def stage(service: Service, caller: Caller, image_id: ImageID, blocks: Iterable[Buffer], *, announced_bytes: int | None) -> None:
    """Stage image data."""
    push(service, uploads.begin_staging(service, caller, image_id, announced_bytes=announced_bytes), blocks)


def push(service: Service, arrival: Arrival, blocks: Iterable[Buffer]) -> None:
    """Let an arrival have all blocks, and finish."""
    pieces = service.stores.writer_resources.pieces
    try:
        for block in blocks:
            rest = memoryview(block)
            while rest:
                piece = Piece(pieces, pieces.acquire())
                rest = rest[piece.append(rest) :]
                arrival.take(piece)
            arrival.pause()
        arrival.finish()
    except BaseException as error:
        arrival.fail(error)
        raise
