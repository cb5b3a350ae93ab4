"""What uploads, staging and imports share: storing image data.

A stream is stored in three steps. One transaction makes the image `saving`; no transaction is open while bytes stream into the
store; the last one attaches the content and makes the image `active`. A failure in between returns the image to `queued`.
Nothing refers to the chunks stored by then, and the sweep removes them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Protocol

from partage import problems
from partage.content.digest import CHECKSUM, Buffer
from partage.content.inspection import Inspector, Watcher
from partage.content.manifest import Content, Segment, digests
from partage.model.announcement import ArrivalFailure, Arriving, Event
from partage.model.ids import ContentID
from partage.model.image import Image, ImageStatus
from partage.operations import quota, signing
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.packs import NotedWriter, PackNames
from partage.operations.service import NamedStore, Service
from partage.records import contents
from partage.records.database import Transaction
from partage.stores.engine import writer
from partage.stores.engine.buffers import Piece
from partage.stores.engine.writer import WriteOptions, Writer, Written


class Receiver(Protocol):
    """What takes the bytes of one request. Any thread may call, one at a time; the last call is `fail`, or a whole `finish`."""

    def take(self, piece: Piece) -> None:
        """Store the next bytes, and release the piece in every case."""

    def pause(self) -> None:
        """Release every buffer until the next `take`."""

    def finish(self) -> None:
        """Store the rest: all bytes have arrived."""

    def fail(self, error: BaseException) -> None:
        """Abort."""


class Arrival:
    """Image data on its way into a store, pushed a piece at a time.

    The chain of steps that a piece passes:

        take ─ reserve quota (`quota.Meter`) ─ verify signature ─ chunk, digest, compress, pack, put (`stores/engine/writer.py`)
        finish ─ write the last pack ─ one transaction: manifest, chunk references, image `active`

    Any thread may call, one at a time; no thread is held between two calls. The last call is `fail`, or a `finish` that returns.
    """

    def __init__(
        self,
        contexts: ExitStack,
        writer: Writer,
        *,
        meter: quota.Meter,
        verifier: signing.Verifier | None,
        name_content: Callable[[Written], Callable[[], None]],
    ) -> None:
        """Own `contexts` until the end.

        `name_content` attaches the content to the image, and returns a function that announces it.
        """
        self._contexts = contexts
        self._writer = writer
        self._meter = meter
        self._verifier = verifier
        self._name_content = name_content

    def new_piece(self) -> Piece:
        """Acquire an empty piece of the shared buffers; block this thread until there is one.

        Raises:
            StoreFull, StoreUnavailable: call `fail`.
        """
        return self._writer.new_piece()

    def take(self, piece: Piece) -> None:
        """Store the next bytes, and release the piece in every case. Can wait for the store, never for the client.

        Raises:
            ImageTooLarge, QuotaExceeded, SizeMismatch, FormatRefused, StoreFull, StoreUnavailable: call `fail`.
            ImageGone: the image was deleted meanwhile; call `fail`.
        """
        try:
            self._writer.admit(piece.size_bytes)
            self._meter.count(piece.size_bytes)
            if self._verifier is not None:
                self._verifier.update(piece.view)
            self._writer.feed(piece.retain())
        finally:
            piece.release()

    def pause(self) -> None:
        """Release every buffer until the next `take`.

        Raises:
            StoreFull, StoreUnavailable: call `fail`.
        """
        self._writer.pause()

    def finish(self) -> None:
        """Store the rest and attach the content to the image: all bytes have arrived.

        Raises:
            SizeMismatch, SignatureRefused, FormatRefused, StoreFull, StoreUnavailable, ImageGone: call `fail`.
        """
        if self._verifier is not None:
            self._verifier.finish()
        written = self._writer.finish()
        self._writer.close()
        tell = self._name_content(written)
        self._contexts.close()
        tell()

    def fail(self, error: BaseException) -> None:
        """Abort: the image is queued again, and the sweep removes what was stored. Does nothing after `finish` has returned."""
        self._contexts.__exit__(type(error), error, error.__traceback__)


@contextmanager
def announce_arrival(service: Service, image: Image, named: NamedStore) -> Iterator[None]:
    """Announce that an upload begins and, if the block fails, that it failed."""
    service.announce(Event.IMAGE_PREPARE, Arriving(image=image, store_id=named.id))
    try:
        yield
    except BaseException as error:
        reason = error.sentence() if isinstance(error, problems.Problem) else "an unexpected failure"
        service.announce(Event.IMAGE_UPLOAD, ArrivalFailure(image=image, reason=reason), failed=True)
        raise


def announce_arrived(service: Service, image: Image, *, was: Image) -> None:
    """Announce that an image's data is complete, and the change of the image that follows."""
    service.announce(Event.IMAGE_UPLOAD, image)
    announce_change(service, image, was=was)


def announce_change(service: Service, image: Image, *, was: Image) -> None:
    """Announce that an image changed and, if so, that it became active."""
    if image.status is ImageStatus.ACTIVE and was.status is not ImageStatus.ACTIVE:
        service.announce(Event.IMAGE_ACTIVATE, image)
    service.announce(Event.IMAGE_UPDATE, image)


def open_writer(service: Service, named: NamedStore, watcher: Watcher, options: WriteOptions) -> Writer:
    """Open a writer for a stream that is pushed. No manifest refers to its chunks yet."""
    return NotedWriter(
        named.store,
        DatabaseIndex(service.database, named.id, service.clock, meter=service.process.meter),
        service.stores.writer_resources,
        PackNames(service, named),
        inspector=watcher,
        options=replace(options, pack_bytes=named.pack_bytes),
    )


def store_bytes(service: Service, named: NamedStore, blocks: Iterable[Buffer], watcher: Watcher, options: WriteOptions) -> Written:
    """Store a stream that is pulled. No manifest refers to its chunks yet.

    Raises:
        SizeMismatch, FormatRefused, StoreFull, StoreUnavailable, or `options.limit_problem`: as `writer.write`.
    """
    with closing(open_writer(service, named, watcher, options)) as into:
        return writer.write(into, blocks)


def build_inspector(service: Service, image: Image) -> Inspector:
    """Build the format inspector of an image's data."""
    return Inspector(
        image.disk_format or "",
        image.container_format or "",
        match_required=service.formats.match_required,
        vmdk_types=service.formats.vmdk_types,
        gpt_nonfatal=service.formats.gpt_nonfatal,
        disk_formats=service.formats.known.disk,
    )


def build_write_options(service: Service, announced_bytes: int | None) -> WriteOptions:
    """Build the options of a writer: the size limit of one image. `quota.Meter` applies the quota of the project."""
    cap = service.limits.image_size_cap_bytes
    return WriteOptions(
        limit_bytes=cap,
        announced_bytes=announced_bytes,
        limit_problem=_make_too_large_problem(cap),
        algorithms=list_algorithms(service),
        hide_deduplication_timing=service.features.hide_deduplication_timing,
    )


def list_algorithms(service: Service) -> tuple[str, ...]:
    """List the algorithms of the digests that the Image API shows of every new image."""
    return (CHECKSUM, service.features.hash_algorithm)


def require_size(service: Service, size_bytes: int | None) -> None:
    """Refuse an image above the maximum size.

    Raises:
        ImageTooLarge: more bytes are announced.
    """
    cap = service.limits.image_size_cap_bytes
    if size_bytes is not None and size_bytes > cap:
        raise _make_too_large_problem(cap)


def require_owner(image: Image, found: Image) -> None:
    """Refuse an image whose owner has changed since its owner's limits were read.

    Raises:
        StatusConflict: the owner is another one.
    """
    if image.owner != found.owner:
        raise problems.StatusConflict(f"Image {image.id} was given to another project at this moment; try again")


def _make_too_large_problem(cap: int) -> problems.ImageTooLarge:
    return problems.ImageTooLarge(f"The incoming image is too large: at most {cap} bytes are taken")


def attach_content(service: Service, image: Image, content_id: ContentID, content: Content, named: NamedStore) -> Image:
    """Return the image with a content in one store: its size and digests."""
    return replace(
        image,
        size=content.size_bytes,
        virtual_size=content.virtual_size_bytes,
        checksum=content.digests.find(CHECKSUM),
        os_hash_algo=service.features.hash_algorithm,
        os_hash_value=content.digests.find(service.features.hash_algorithm),
        content_id=content_id,
        stores=(named.id,),
        references=(),
    )


def require_chunks(tx: Transaction, named: NamedStore, manifest: Collection[Segment]) -> None:
    """Ensure that no sweep removed a chunk that the writer deduplicated.

    Raises:
        StoreUnavailable: a sweep did.
    """
    wanted = {digest for segment in manifest for digest in digests(segment)}
    if contents.unmark(tx, named.id, wanted) != wanted:
        raise problems.StoreUnavailable("Parts of the image were swept while it was uploaded; upload it again")
