"""Messages of refused image data: the reason, and a way out that works. Part of `inspection`, which decides."""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from partage import problems

_QEMU_NAMES: Mapping[str, str] = MappingProxyType({"vhd": "vpc", "iso": "raw", "gpt": "raw", "luks": "raw"})
"""What qemu-img calls a format where it has another name, or reads as bytes only."""
_CONVERTIBLE = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi")
"""Disk formats that qemu-img can write."""
_RAW = ("raw", "gpt", "luks")
"""What inspection calls bytes that users declare as raw."""

_FILE_SYSTEMS: Mapping[tuple[int, bytes], str] = MappingProxyType(
    {(3, b"NTFS    "): "NTFS", (3, b"EXFAT   "): "exFAT", (54, b"FAT"): "FAT", (82, b"FAT32"): "FAT"},
)
"""Where a boot sector names its file system."""
_PROTECTS_GPT = 0xEE
"""The type of the entry of an MBR that covers a disk with a GPT."""

_FROM_VHD = "convert it with `qemu-img convert -f vpc -O qcow2` and upload the result as qcow2"
_ALLOWED_BY = "or ask the operator to accept such disks with formats.gpt_safety_checks_nonfatal"
_DAMAGED = "its headers "
"""How a reason begins that says of a file that it is cut off or damaged."""


@dataclass(frozen=True, slots=True)
class Compression:
    """A program that compresses files, and how to undo it."""

    name: str
    command: str


_COMPRESSIONS: Mapping[bytes, Compression] = MappingProxyType(
    {
        b"\x1f\x8b\x08": Compression("gzip", "gunzip"),
        b"BZh": Compression("bzip2", "bunzip2"),
        b"\xfd7zXZ\0": Compression("xz", "unxz"),
        b"\x28\xb5\x2f\xfd": Compression("zstd", "unzstd"),
        b"\x04\x22\x4d\x18": Compression("lz4", "unlz4"),
        b"PK\x03\x04": Compression("zip", "unzip"),
    },
)


def compression_of(first: bytes) -> Compression | None:
    """Recognise compressed data by its first bytes. Source: each format's specification."""
    return next((each for magic, each in _COMPRESSIONS.items() if first.startswith(magic)), None)


@dataclass(frozen=True, slots=True)
class PartitionFault:
    """Why a boot sector is not that of a valid partition table.

    `check` is Glance's name in `gpt_safety_checks_nonfatal`: gptmbr for what contradicts a GPT, mbr for everything else.
    """

    check: str
    reason: str
    advice: str = f"convert it with `qemu-img convert -f raw -O qcow2` and upload the result as qcow2, {_ALLOWED_BY}"


def partition_fault(first: bytes) -> PartitionFault:
    """Describe bytes that end their first sector with the signature of a boot sector and have no valid partition table.

    Source: the checks of oslo.utils' GPTInspector; the boot sectors of NTFS, exFAT and FAT; Linux's boot protocol for x86.
    """
    for (offset, magic), name in _FILE_SYSTEMS.items():
        if first[offset:].startswith(magic):
            return PartitionFault("mbr", f"it is a file system ({name}) without a partition table")
    if first[0x202:].startswith(b"HdrS"):
        return PartitionFault("mbr", "it is a Linux kernel", "declare disk_format and container_format as aki")
    packed = compression_of(first)
    if packed is not None:
        return PartitionFault("mbr", f"the bytes are compressed with {packed.name}", _unpack(packed))
    return _fault_of_table(first)


def _fault_of_table(first: bytes) -> PartitionFault:
    entries = [struct.unpack_from("<B3xB", first, 446 + 16 * number) for number in range(4)]
    for number, (flag, _kind) in enumerate(entries, 1):
        if flag not in {0x00, 0x80}:
            return PartitionFault("mbr", f"its boot sector holds no partition table: entry {number} has the boot flag {flag:#04x}")
    kinds = [kind for _flag, kind in entries]
    if _PROTECTS_GPT not in kinds:
        return PartitionFault("mbr", "its partition table has no entries")
    if kinds[0] != _PROTECTS_GPT or any(kinds[1:]):
        return PartitionFault("gptmbr", "it has a hybrid MBR, with partitions beside the entry that protects its GPT")
    return PartitionFault("gptmbr", "the entry of its MBR that protects its GPT does not start at sector 1")


def mismatch(declared: str, actual: str, first: bytes, accepted: Collection[str]) -> problems.FormatRefused:
    """Refuse bytes of another format than declared. The sentence begins with Glance's words."""
    return problems.FormatRefused(
        f"Image disk_format {declared} does not match stream data {actual}{_way_out(declared, actual, first, accepted)}"
    )


def unsafe(declared: str, name: str, reason: str, advice: str = "") -> problems.FormatRefused:
    """Refuse bytes that have the format `name` and must not reach a hypervisor."""
    if not advice and reason.startswith(_DAMAGED):
        advice = "the file is cut off or damaged: compare it with its source and upload it again"
    return problems.FormatRefused(
        f"Image data declared as {declared} failed safety checks as {name}: {reason}; {advice or _flatten(name)}",
    )


def several(declared: str, found: Collection[str]) -> problems.FormatRefused:
    """Refuse bytes that are several formats at once."""
    name = declared if declared in found else next(iter(found))
    return problems.FormatRefused(
        f"Image data declared as {declared} is several formats at once ({', '.join(found)}), so programs would not agree on what "
        f"it is; {_flatten(name)}",
    )


def with_vhd_footer(declared: str, found: Collection[str]) -> problems.FormatRefused:
    """Refuse bytes that end with the footer of a VHD and do not begin with one."""
    heads = [name for name in found if name not in _RAW]
    if heads:
        return unsafe(declared, "vhd", f"the footer of a VHD stands at the end of a {heads[0]}", _flatten(heads[0]))
    return unsafe(declared, "vhd", "the footer at its end makes it a VHD of fixed size, which is not accepted", _FROM_VHD)


def _way_out(declared: str, actual: str, first: bytes, accepted: Collection[str]) -> str:
    packed = compression_of(first) if actual in _RAW else None
    if packed is not None:
        return f": the bytes are compressed with {packed.name}; {_unpack(packed)}"
    if declared == "vhd" and actual in _RAW:
        return f"; if it is a VHD of fixed size, {_FROM_VHD}; otherwise declare the image as raw"
    usable = "raw" if actual in _RAW else actual
    ways = [f"declare the image as {usable}"] if usable in accepted else []
    if declared in _CONVERTIBLE:
        ways.append(f"convert it to {declared}")
    elif not ways:
        ways.append(_flatten(actual))
    return f"; {', or '.join(ways)}"


def _unpack(packed: Compression) -> str:
    return f"unpack them with `{packed.command}` and upload the result"


def _flatten(name: str) -> str:
    return f"convert it with `qemu-img convert -f {_QEMU_NAMES.get(name, name)} -O qcow2` and upload the result as qcow2"
