"""Originals in object stores: one object for each image, as Glance's stores of type swift and s3 keep them.

The drivers of this service's own stores read the objects, in ranges: they authenticate, repeat requests, and check what arrives.
Swift joins the segments of a large object itself (a dynamic or static large object), for ranges too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from partage import problems
from partage.stores.store import Store

_PIECE_BYTES = 4 << 20
_S3_SCHEMES = ("s3", "s3+http", "s3+https")


@dataclass(frozen=True, slots=True)
class ObjectName:
    """The object of a location. `account` is Swift's reference; empty for S3, whose keys are in the configuration."""

    account: str
    container: str
    key: str


def parse_swift(url: str) -> ObjectName:
    """Parse a location of Glance's store of type swift.

    Raises:
        StoreUnavailable: it is no URL of the form swift+config://reference/container/object.
    """
    parsed = urlsplit(url)
    container, _slash, key = unquote(parsed.path).lstrip("/").partition("/")
    if parsed.scheme != "swift+config" or not (parsed.netloc and container and key):
        raise problems.StoreUnavailable(
            "A location in Swift has its account in the URL, which is not read; let Glance write a reference "
            "(swift_store_config_file), or upload the image again"
        )
    return ObjectName(parsed.netloc, container, key)


def remove_keys(url: str) -> str:
    """Return a location of Glance's store of type s3 without the access key and the secret key that Glance writes into it."""
    scheme, colon, rest = url.partition("://")
    return f"{scheme}{colon}{rest.rpartition('@')[2]}"


def parse_s3(url: str) -> ObjectName:
    """Parse a location of Glance's store of type s3. The keys in it are ignored: those of the configuration are newer.

    Glance writes a secret key as it is, and many contain slashes.

    Raises:
        StoreUnavailable: it is no URL of the form s3+https://keys@host/bucket/object.
    """
    scheme, _colon, rest = url.partition("://")
    host, _slash, path = rest.rpartition("@")[2].partition("/")
    container, _slash, key = path.rpartition("/")
    container = container.rpartition("/")[2]
    if scheme not in _S3_SCHEMES or not (host and container and key):
        raise problems.StoreUnavailable(
            "A location in S3 names no bucket and object; correct it in Glance, or upload the image again"
        )
    return ObjectName("", container, key)


class OriginalObjects:
    """Reads objects by drivers, one for each account and container."""

    def __init__(self, parse: Callable[[str], ObjectName], open_store: Callable[[str, str], Store]) -> None:
        """Read nothing yet. `open_store` builds the driver of an account and a container."""
        self._parse = parse
        self._open_store = open_store
        self._stores: dict[tuple[str, str], Store] = {}

    def find_size(self, url: str) -> int:
        """See `reader.OriginalReader.find_size`."""
        store, name = self._find(url)
        found = store.stat(name.key)
        if found is None:
            raise problems.ContentCorrupt(
                f"Glance's object {name.key} does not exist in {name.container}; restore it from a backup of Glance's store"
            )
        return found.size_bytes

    def read(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        """See `reader.OriginalReader.read`."""
        store, name = self._find(url)
        while start < stop:
            piece = store.get(name.key, start, min(_PIECE_BYTES, stop - start))
            yield piece
            start += len(piece)

    def remove(self, url: str) -> None:
        """See `reader.OriginalReader.remove`. Refused: the segments of a large object would stay, and cost as before.

        Raises:
            StoreUnavailable: always; the message says what removes them.
        """
        _store, name = self._find(url)
        raise problems.StoreUnavailable(
            f"Objects are not removed from Glance's object stores; remove {name.container}/{name.key} with the store's own client"
        )

    def _find(self, url: str) -> tuple[Store, ObjectName]:
        name = self._parse(url)
        place = (name.account, name.container)
        if place not in self._stores:
            self._stores[place] = self._open_store(*place)
        return self._stores[place], name
