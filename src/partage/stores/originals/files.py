"""Originals in files of a Glance, below the directories of its store of type file."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from partage import problems

_BLOCK_BYTES = 1 << 20
_SCHEMES = ("file", "filesystem")


class OriginalFiles:
    """Reads files below some directories. A URL that leads elsewhere is refused, whatever Glance's database says."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)

    def find_size(self, url: str) -> int:
        """See `reader.OriginalReader.find_size`."""
        path = self._find_path(url)
        try:
            return path.stat().st_size
        except OSError as error:
            raise _explain(path, error) from error

    def read(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        """See `reader.OriginalReader.read`."""
        path = self._find_path(url)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _explain(path, error) from error
        try:
            os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_SEQUENTIAL)
            while start < stop:
                block = os.pread(descriptor, min(_BLOCK_BYTES, stop - start), start)
                if not block:
                    raise problems.ContentCorrupt(
                        f"Glance's file {path.name} ends at byte {start} of {stop}; restore it from a backup of Glance's store"
                    )
                yield block
                start += len(block)
        except OSError as error:
            raise _explain(path, error) from error
        finally:
            os.close(descriptor)

    def remove(self, url: str) -> None:
        """See `reader.OriginalReader.remove`."""
        path = self._find_path(url)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _explain(path, error) from error

    def _find_path(self, url: str) -> Path:
        parsed = urlsplit(url)
        path = Path(os.path.normpath(unquote(parsed.path)))
        is_below = any(path.is_relative_to(Path(os.path.normpath(each))) for each in self._directories)
        if parsed.scheme not in _SCHEMES or parsed.netloc or not is_below:
            raise problems.StoreUnavailable(
                f"Glance's location of file {path.name} is in no directory of its store; the operator has to add that directory to "
                "filesystem_store_datadirs of Glance's configuration"
            )
        return path


def _explain(path: Path, error: OSError) -> problems.Problem:
    if isinstance(error, FileNotFoundError):
        return problems.ContentCorrupt(
            f"Glance's file {path.name} does not exist; mount its directory, or restore the file from a backup"
        )
    return problems.StoreUnavailable(
        f"Glance's file {path.name} cannot be used: {error.strerror}; this service needs the permission to read Glance's directory"
    )
