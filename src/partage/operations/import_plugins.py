"""Import plugins: changes to data and properties during an import, as the operator has configured.

Source: Glance's import plugins `image_decompression`, `image_conversion` and `inject_image_metadata`, and what they leave
alone: data in the container format `compressed`, ISO images, and the images of users that have an ignored role.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from partage import problems
from partage.content.decompression import Expansion, decompress
from partage.content.digest import Buffer
from partage.conversion.convert import Bounds, convert
from partage.model.document import is_property_name, read_name
from partage.model.image import Image

BLOCK_BYTES = 1 << 20
_KEPT_AS_THEY_ARE = ("iso",)
_UNCOMPRESSED = "compressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlugins:
    """The plugins that are on. `convert_to` empty: no conversion; `work_directory` None: the system's temporary directory."""

    decompress: bool = False
    convert_to: str = ""
    inject: Mapping[str, str] = field(default_factory=dict)
    ignored_roles: Collection[str] = ("admin",)
    work_directory: Path | None = None
    expansion: Expansion = field(default_factory=Expansion)

    def decompress_blocks(
        self, image: Image, blocks: Iterable[Buffer], *, limit_bytes: int, packed_bytes: int | None = None
    ) -> Iterable[Buffer]:
        """Decompress data as it streams. `packed_bytes`: the size of the compressed data, if it is certain.

        Raises:
            ArchiveRefused, ImageTooLarge: when the blocks are read.
        """
        if not self.decompress or image.container_format == _UNCOMPRESSED:
            return blocks
        return decompress(blocks, limit_bytes=limit_bytes, expansion=replace(self.expansion, packed_bytes=packed_bytes or 0))

    def converts(self, image: Image) -> bool:
        """Whether the image's data is converted to another format."""
        return bool(self.convert_to) and image.disk_format not in (self.convert_to, *_KEPT_AS_THEY_ARE)

    @contextmanager
    def converted(
        self, image: Image, blocks: Iterable[Buffer], *, limit_bytes: int, goes_on: Callable[[], bool]
    ) -> Iterator[Iterator[bytes]]:
        """Convert inspected data; yield the result's bytes. Both are in files while the block runs.

        `goes_on` is called every second: whether the result is still needed.

        Raises:
            ConversionFailed: qemu-img is not there, refuses, or takes too much of anything.
            StoreFull: there is no room for the two files.
        """
        with self._work_folder() as folder:
            source, target = Path(folder, "source"), Path(folder, "target")
            try:
                _write(source, blocks)
            except OSError as error:
                raise problems.StoreFull(f"There is no room to convert the image in: {error.strerror}") from error
            bounds = Bounds(file_bytes=limit_bytes)
            convert(source, image.disk_format or "", target, self.convert_to, bounds, goes_on=goes_on)
            source.unlink()
            yield _read(target)

    def _work_folder(self) -> "tempfile.TemporaryDirectory[str]":
        try:
            return tempfile.TemporaryDirectory(prefix="partage-convert-", dir=self.work_directory)
        except OSError as error:
            raise problems.StoreFull(f"There is no directory to convert the image in: {error.strerror}") from error

    def inject_properties(self, image: Image, roles: Collection[str]) -> Image:
        """Add the operator's properties, unless the user has an ignored role. Names that no property may have are omitted."""
        if not self.inject or set(roles) & set(self.ignored_roles):
            return image
        named = [(read_name(text), value) for text, value in self.inject.items()]
        added = {name: value for name, value in named if is_property_name(name)}
        return replace(image, properties={**image.properties, **added})


def _write(path: Path, blocks: Iterable[Buffer]) -> None:
    """Write a sparse file: long runs of zeros take no space."""
    with path.open("wb") as file:
        for block in blocks:
            if bytes(block).count(0) == len(block):
                file.seek(len(block), 1)
            else:
                file.write(block)
        file.truncate()


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
