"""Ids for new packs. Each is an intent in the database before its pack is written, so that a sweep knows who wrote it."""

from partage.content.inspection import Watcher
from partage.model.ids import PackID
from partage.operations.service import NamedStore, Service
from partage.records import contents
from partage.stores.engine.index import ChunkIndex
from partage.stores.engine.resources import WriterResources
from partage.stores.engine.writer import WriteOptions, Writer, Written
from partage.stores.store import Store

_MOST_AT_ONCE = 8


class PackNames:
    """Draws ids for the packs of one stream; long streams insert more intents in one transaction. Not thread-safe."""

    def __init__(self, service: Service, named: NamedStore) -> None:
        self._service = service
        self._named = named
        self._drawn: list[PackID] = []
        self._waiting: list[PackID] = []

    def draw(self) -> PackID:
        """Return the id of a pack to be written.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        if not self._waiting:
            count = min(max(1, len(self._drawn)), _MOST_AT_ONCE)
            drawn = [PackID(self._service.new_id().replace("-", "")) for _ in range(count)]
            with self._service.database.write() as tx:
                contents.note_intents(tx, self._named.id, drawn, now=self._service.clock())
            self._drawn += drawn
            self._waiting = drawn
        return self._waiting.pop()

    def close(self) -> None:
        """Delete the remaining intents; to be called once every pack is indexed or removed.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._service.database.read() as tx:
            left = contents.find_intents(tx, self._drawn)
        if left:
            with self._service.database.write() as tx:
                contents.remove_intents(tx, left)


class NotedWriter(Writer):
    """A writer with intents for its packs. After a failure, the sweep removes its packs."""

    def __init__(
        self,
        store: Store,
        index: ChunkIndex,
        resources: WriterResources,
        names: PackNames,
        *,
        inspector: Watcher,
        options: WriteOptions,
    ) -> None:
        """Begin, as `Writer` does."""
        super().__init__(store, index, resources, inspector=inspector, options=options, new_pack_id=names.draw)
        self._names = names

    def finish(self) -> Written:
        """Store the rest durably and return the stored stream.

        Raises:
            SizeMismatch, FormatRefused, StoreFull, StoreUnavailable: as `Writer.finish`.
            DatabaseUnavailable: the database does not answer.
        """
        written = super().finish()
        self._names.close()
        return written
