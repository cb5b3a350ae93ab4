"""Is a stream a VMDK, and one that stays within its own file? Part of `inspection`, apart because VMDK is a family of formats.

A VMDK names its extents, and perhaps a parent, in a text descriptor; hypervisors open what it names. oslo.utils' inspector parses
the descriptor but depends on how the stream is split (it judges a text descriptor by the first buffer it is given) and lets parents
pass, so it is given the whole head at once and its answer is completed here. Source: qemu's block/vmdk.c, for what would be opened.
"""

import re
import struct
from collections.abc import Collection

from oslo_utils.imageutils import format_inspector

HEAD_BYTES = (1 << 20) + 4096
"""The descriptor lies within this: it begins at 512 and has at most 1 MiB - 1."""

END_BYTES = 1536
"""A footer, if there is one, lies within this of the end."""


def is_possible(first: bytes | bytearray) -> bool:
    """Return whether a stream that begins with `first` (a sector at least, if it has one) may be a VMDK of any kind.

    A descriptor is opened as the text up to its first NUL, whatever stands behind that. So a stream whose first NUL has not come
    may still become one.
    """
    return first.startswith((_SPARSE, _VMFS_SPARSE)) or _probes(first) or b"\0" not in first or _names_a_type(first)


class Parser:
    """Check one stream by its head of up to `HEAD_BYTES`, and by its end if it has a footer."""

    def __init__(self, head: bytes, types: Collection[str]) -> None:
        self.matches = True
        self.unsafe = ""
        self._types = {name.lower() for name in types}
        self._head_bytes = len(head)
        self._inspector = format_inspector.VMDKInspector()
        self._failed = False
        if head.startswith(_VMFS_SPARSE):
            self.unsafe = "it is a VMFS sparse disk, which no check knows"
        elif head.startswith(_SPARSE):
            self._eat(head)
            self.unsafe = self._check_descriptor(head)
        else:
            self.matches = _probes(head) or _names_a_type(head)
            self.unsafe = "it is a descriptor that names other files" if self.matches else ""

    @property
    def virtual_size(self) -> int | None:
        """The disk's size in bytes; None if the headers are invalid."""
        try:
            virtual = int(self._inspector.virtual_size)
        except Exception:  # noqa: BLE001 - hostile bytes may make the parser fail in any way
            return None
        return virtual if virtual < 1 << 63 else None

    def finish(self, end: bytes, size_bytes: int) -> None:
        """Complete the check with the stream's last `END_BYTES` (or all of it) and its size."""
        if self.unsafe or not self.matches:
            return
        beyond = min(size_bytes - self._head_bytes, len(end))
        if beyond > 0:
            self._eat(end[-beyond:])
        self.unsafe = self._check_safety()

    def _eat(self, piece: bytes) -> None:
        try:
            self._inspector.eat_chunk(piece)
        except Exception:  # noqa: BLE001 - as above
            self._failed = True

    def _check_safety(self) -> str:
        try:
            self._inspector.finish()
            self._inspector.safety_check()
        except format_inspector.SafetyCheckFailed as failed:
            return f"its {' and '.join(sorted(failed.failures))} is not valid or not safe"
        except Exception:  # noqa: BLE001 - what cannot be checked is not safe
            return "its headers are incomplete or contradict themselves"
        return "its headers contradict themselves" if self._failed else ""

    def _check_descriptor(self, head: bytes) -> str:
        """Refuse descriptors that oslo.utils accepts and that lead a hypervisor to other files."""
        if self._failed or len(head) < _HEADER.size:
            return "its headers are incomplete or contradict themselves"
        capacity, sectors = _HEADER.unpack_from(head)
        if capacity == 0:
            return "its capacity is 0, so that its descriptor is opened in its place"
        text = head[512:][: max(sectors * 512, _DESCRIPTOR_READ_BYTES)].partition(b"\0")[0].lower()
        return self._check_text(text)

    def _check_text(self, text: bytes) -> str:
        types = re.findall(rb'createtype\s*=\s*"([^"\n]*)"', text)
        extents = [line.split()[2:3] for line in text.splitlines() if line.split()[:1] in _ACCESS]
        if text.count(b"createtype") != 1 or len(types) != 1:
            return "it has not exactly one createType"
        if types[0].decode("ascii", "replace") not in self._types:
            return f"createType {types[0][:40].decode('ascii', 'replace')} is not accepted"
        if b"parentfilenamehint" in text:
            return "it names a parent file"
        if any(extent != [b"sparse"] for extent in extents):
            return "it has an extent that is not part of this file"
        return ""


_SPARSE = b"KDMV"
_VMFS_SPARSE = b"COWD"
_PROBED_BYTES = 2048
"""More than the 512 bytes by which qemu recognises formats, and other programs may look further."""
_PROBED = re.compile(rb"(?:[ \t\f\v\r]*(?:#[^\n]*)?\n)*[ \t\f\v\r]*version\s*=", re.IGNORECASE)
_HEADER = struct.Struct("<12xQ16xQ")
"""Capacity and the descriptor's length, both in sectors; the rest of the header is oslo.utils' to read."""
_DESCRIPTOR_READ_BYTES = 20 * 512
"""What qemu reads of an embedded descriptor, whatever the header says of its length."""
_ACCESS = ([b"rw"], [b"rdonly"], [b"noaccess"])


def _probes(head: bytes | bytearray) -> bool:
    """Recognise a text descriptor as qemu does by itself: comments, of any bytes, and blank lines, then `version=`."""
    return _PROBED.match(head[:_PROBED_BYTES]) is not None


def _names_a_type(head: bytes | bytearray) -> bool:
    """Recognise a text descriptor as qemu does when the format is given: the text, of any bytes, has a `createType`."""
    return b"createtype" in bytes(head).partition(b"\0")[0].lower()
