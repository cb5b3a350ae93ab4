"""Detect the format of image data and whether it is safe for a hypervisor: in the stream, without a file.

The parsers are oslo.utils' format inspectors. They are fed in pieces of one size, so that the result does not depend on how the
client's bytes were split, and every container format is inspected. docs/decisions/0013 lists what is refused beyond Glance.
Decides only; `stores/engine/writer.py` stores the bytes. Memory: about 1.2 MiB.
"""

import uuid
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

from oslo_utils.imageutils import format_inspector

from partage.content import refusals, vmdk
from partage.content.digest import Buffer

PIECE_BYTES = 64 * 1024
"""Inspectors read the stream in pieces of this size; those of formats with tables further in (VHDX) read on."""

VMDK_TYPES = ("streamOptimized", "monolithicSparse")
"""Source: Glance's `vmdk_allowed_types`."""

DISK_FORMATS = ("raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso")
"""The formats that a refusal may advise to declare, unless the operator accepts fewer."""

CHECKED_CONTAINER = "bare"
"""The container format of a plain disk image. Others contain archives, compressed data or kernels."""


class Watcher(Protocol):
    """Inspects a stream while it is stored, and may refuse it."""

    def feed(self, buffer: Buffer) -> None:
        """Inspect the next bytes, or raise a problem."""

    def finish(self, size_bytes: int) -> int | None:
        """Accept the whole stream, or raise a problem; return the virtual size in bytes if there is one."""


class Unwatched:
    """Inspects nothing: for bytes that were inspected before, or will be before anybody can download them."""

    def feed(self, buffer: Buffer) -> None:
        """Accept the bytes."""

    def finish(self, size_bytes: int) -> int | None:  # noqa: ARG002 - the protocol's signature
        """Accept the stream; its virtual size is unknown."""
        return None


class Inspector:
    """Inspect one stream: feed it in order, then finish. Not for use by two threads at once.

    Differs from Glance: container formats other than bare are inspected too, a missing match does not switch the safety
    checks off, and a refusal comes as soon as it is certain.

    `gpt_nonfatal` names the faults of partition tables that are ignored: mbr all of them, gptmbr those that contradict a GPT.
    Source: Glance's `gpt_safety_checks_nonfatal`. `disk_formats` are those that users may declare.
    """

    def __init__(
        self,
        disk_format: str,
        container_format: str,
        *,
        match_required: bool = True,
        vmdk_types: Collection[str] = VMDK_TYPES,
        gpt_nonfatal: Collection[str] = (),
        disk_formats: Collection[str] = DISK_FORMATS,
    ) -> None:
        self._disk_format = disk_format
        self._bare = container_format == CHECKED_CONTAINER
        self._match_required = match_required and self._bare
        self._vmdk_types = vmdk_types
        self._gpt_nonfatal = gpt_nonfatal
        self._disk_formats = disk_formats
        self._parsers: dict[str, _Parser] = {
            name: _Parser(kind) for name, kind in format_inspector.ALL_FORMATS.items() if name not in ("raw", "vmdk")
        }
        self._vmdk: vmdk.Parser | None = None
        self._head: bytearray | None = bytearray()
        self._piece = bytearray()
        self._first = b""
        self._end = b""
        self._received_bytes = 0

    def feed(self, buffer: Buffer) -> None:
        """Inspect the next bytes. Cheap once the format is decided: for most streams after 256 KiB.

        Raises:
            FormatRefused: the stream cannot become acceptable any more.
        """
        self._received_bytes += len(buffer)
        self._keep_end(buffer)
        view = memoryview(buffer)
        while view and self._hungry:
            room = PIECE_BYTES - len(self._piece)
            self._piece += view[:room]
            view = view[room:]
            if len(self._piece) == PIECE_BYTES:
                self._eat()
        self._feed_head(buffer)

    def finish(self, size_bytes: int) -> int | None:
        """Accept the whole stream and return the virtual size in bytes; None if there is none.

        Raises:
            FormatRefused: the bytes are not what was declared, are several formats at once, or are unsafe.
        """
        if self._piece or not self._first:
            self._eat()
        self._inspect_vmdk(final=True)
        if 0 < size_bytes < _SECTOR_BYTES:
            self._check_as_padded()
        found = self._list_formats()
        self._check_several(found)
        self._check_match(found, final=True)
        for name in found:
            self._check_safety(name, final=True)
        self._check_footer()
        return self._virtual_size(found, size_bytes)

    @property
    def _hungry(self) -> bool:
        return any(parser.hungry for parser in self._parsers.values())

    def _eat(self) -> None:
        """Feed one piece to every parser that needs more, and check the result."""
        piece = bytes(self._piece)
        self._piece.clear()
        if not self._first:
            self._first = piece
            if not vmdk.is_possible(piece):
                self._head = None
        for parser in self._parsers.values():
            parser.eat(piece)
        found = self._list_formats()
        self._check_several(found)
        self._check_match(found, final=False)
        for name in found:
            self._check_safety(name, final=False)

    def _feed_head(self, buffer: Buffer) -> None:
        """Collect the head that the VMDK parser needs at once, unless the stream cannot be a VMDK."""
        if self._head is None:
            return
        self._head += memoryview(buffer)[: vmdk.HEAD_BYTES - len(self._head)]
        if len(self._head) == vmdk.HEAD_BYTES:
            self._inspect_vmdk(final=False)
            found = self._list_formats()
            self._check_several(found)
            self._check_match(found, final=False)

    def _inspect_vmdk(self, *, final: bool) -> None:
        if self._head is not None:
            self._vmdk = vmdk.Parser(bytes(self._head), self._vmdk_types)
            self._head = None
        if self._vmdk is None:
            return
        if final:
            self._vmdk.finish(self._end, self._received_bytes)
        if self._vmdk.unsafe:
            raise refusals.unsafe(self._disk_format, "vmdk", self._vmdk.unsafe)

    def _keep_end(self, buffer: Buffer) -> None:
        if len(buffer) >= vmdk.END_BYTES:
            self._end = bytes(memoryview(buffer)[-vmdk.END_BYTES :])
        else:
            self._end = (self._end + bytes(buffer))[-vmdk.END_BYTES :]

    def _list_formats(self) -> list[str]:
        """List the formats detected so far, in alphabetical order."""
        found = [name for name, parser in self._parsers.items() if parser.matches]
        if self._vmdk is not None and self._vmdk.matches:
            found.append("vmdk")
        if not self._bare and "gpt" in found:
            # Two bytes at 510 make a GPT or MBR. Compressed data may have them at random, Linux kernels have them on purpose.
            found.remove("gpt")
        return sorted(found)

    def _check_several(self, found: Collection[str]) -> None:
        if len(found) > 1 and set(found) != {"iso", "gpt"}:
            raise refusals.several(self._disk_format, found)

    def _check_match(self, found: Collection[str], *, final: bool) -> None:
        """Compare with the declared format. Source: Glance's set_data; raw may turn out to be anything that is safe."""
        declared = self._disk_format
        if not self._match_required or declared == "raw":
            return
        actual = "iso" if set(found) == {"iso", "gpt"} else next(iter(found), "raw")
        if declared == actual or (actual == "raw" and declared not in format_inspector.ALL_FORMATS):
            return
        if not final and not self._is_final(declared, found):
            return
        if declared != "vhd" or actual not in {"raw", "gpt"}:  # a fixed VHD is reported as such, not as the format of its disk
            for name in found:
                self._check_safety(name, final=final)
        raise refusals.mismatch(declared, actual, self._first, self._disk_formats)

    def _is_final(self, declared: str, found: Collection[str]) -> bool:
        """Return whether the detected format is final: later bytes can change neither the mismatch nor the actual format."""
        if self._head is not None:
            return False
        if declared == "vmdk":
            return self._vmdk is None
        parser = self._parsers.get(declared)
        return bool(found) if parser is None else not parser.hungry

    def _check_safety(self, name: str, *, final: bool) -> None:
        parser = self._parsers.get(name)
        if parser is None or (not final and parser.hungry):
            return
        reason = parser.unsafe()
        if name == "gpt" and self._disk_format in ("aki", "ari"):
            return  # Linux kernels look like a damaged MBR on purpose. Source: Glance's set_data.
        if not reason or (name == "gpt" and "iso" in self._list_formats()):
            return
        if name == "gpt":
            self._check_partitions()
            return
        raise refusals.unsafe(self._disk_format, name, reason, _MERGE if reason == _REASONS["parent"] else "")

    def _check_partitions(self) -> None:
        """Refuse an invalid partition table, unless the operator accepts such faults."""
        fault = refusals.partition_fault(self._first)
        if "mbr" not in self._gpt_nonfatal and fault.check not in self._gpt_nonfatal:
            raise refusals.unsafe(self._disk_format, "a partitioned disk", fault.reason, fault.advice)

    def _check_as_padded(self) -> None:
        """Inspect less than a sector as hypervisors read it, padded with zeros; parsers need a whole sector."""
        container_format = CHECKED_CONTAINER if self._bare else "other"
        padded = Inspector(
            self._disk_format,
            container_format,
            match_required=False,
            vmdk_types=self._vmdk_types,
            gpt_nonfatal=self._gpt_nonfatal,
        )
        padded.feed(self._first.ljust(_SECTOR_BYTES, b"\0"))
        padded.finish(_SECTOR_BYTES)

    def _check_footer(self) -> None:
        """Refuse a disk of another format that is also a fixed VHD, whose only header is at the end."""
        if self._bare and self._end[-_SECTOR_BYTES:].startswith(b"conectix") and not self._parsers["vhd"].matches:
            raise refusals.with_vhd_footer(self._disk_format, self._list_formats())
        if self._first[:8] == b"conectix" and self._first[_VHD_TYPE:][:4] == _VHD_DIFFERENCING:
            raise refusals.unsafe(self._disk_format, "vhd", _REASONS["parent"], _MERGE)

    def _virtual_size(self, found: Collection[str], size_bytes: int) -> int | None:
        declared = self._disk_format
        if not self._bare or (declared not in found and declared != "raw"):
            return None
        if declared == "raw":
            return size_bytes or None
        virtual = self._vmdk.virtual_size if declared == "vmdk" and self._vmdk else self._parsers[declared].virtual_size(size_bytes)
        if virtual is None:
            raise refusals.unsafe(declared, declared, _NO_SIZE)
        return virtual or None


class _Parser:
    """One of oslo.utils' inspectors. If it fails, it has not recognised its format."""

    def __init__(self, kind: type[format_inspector.FileInspector]) -> None:
        self._inspector = kind()
        self._failed = False
        self._eaten = 0

    @property
    def hungry(self) -> bool:
        """Whether more of the stream can change the result."""
        return not self._failed and not self._inspector.complete

    @property
    def matches(self) -> bool:
        """Whether the stream has its format, as far as it was read."""
        try:
            return bool(self._inspector.format_match) and self._eaten > 0
        except Exception:  # noqa: BLE001 - hostile bytes may make a parser fail in any way; not recognised, then
            return False

    def eat(self, piece: bytes) -> None:
        """Feed the next piece."""
        if not self.hungry:
            return
        self._eaten += len(piece)
        try:
            self._inspector.eat_chunk(piece)
        except Exception:  # noqa: BLE001 - as above
            self._failed = True

    def unsafe(self) -> str:
        """Return why a disk of this format is unsafe for a hypervisor; empty if it is safe."""
        try:
            self._inspector.safety_check()
        except format_inspector.SafetyCheckFailed as failed:
            return " and ".join(_REASONS.get(name, f"the check {name} failed") for name in sorted(failed.failures))
        except Exception:  # noqa: BLE001 - what cannot be checked is not safe
            return _INCOHERENT
        if self._failed:
            return _INCOHERENT
        return _REASONS["parent"] if self._has_vhdx_parent() else ""

    def _has_vhdx_parent(self) -> bool:
        """Return whether it is a VHDX with a parent file in its metadata. oslo.utils accepts those."""
        inspector = self._inspector
        return inspector.has_region("metadata") and _VHDX_PARENT_LOCATOR in bytes(inspector.region("metadata").data)

    def virtual_size(self, size_bytes: int) -> int | None:
        """Return the virtual size of the disk; None if its headers are invalid."""
        try:
            virtual = int(self._inspector.virtual_size)
        except Exception:  # noqa: BLE001 - as above
            return None
        if self._inspector.NAME in _SIZED_BY_FILE:
            return size_bytes
        return virtual if 0 <= virtual < _VIRTUAL_SIZE_LIMIT else None


_INCOHERENT = "its headers are incomplete or contradict themselves"
_SECTOR_BYTES = 512
_VHD_TYPE = 60
_VHD_DIFFERENCING = b"\0\0\0\x04"
_VHDX_PARENT_LOCATOR = uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le
"""Source: Microsoft's [MS-VHDX], 2.6.2.6: differencing disks have this item, and only they."""
_SIZED_BY_FILE = ("gpt", "raw")
_VIRTUAL_SIZE_LIMIT = 1 << 63
"""What a signed 64-bit column can hold; no hypervisor makes larger disks (CVE-2013-2096 and its kin)."""

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "backing_file": "it has a backing file, which would be read on the hypervisor's own disk",
        "data_file": "it keeps its data in another file",
        "unknown_features": "it needs features that no check knows",
        "mbr": "its partition table is not valid",
        "version": "its version is not supported",
        "banned": "this format is not accepted",
        "inner_safety": "what it wraps is not safe",
        "parent": "it is a differencing disk and names a parent file",
    },
)
_NO_SIZE = "its headers tell no virtual size that a disk can have"
_MERGE = "merge it with its parent, with Hyper-V's Merge-VHD for example, and upload the result"
