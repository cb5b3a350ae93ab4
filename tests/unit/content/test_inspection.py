"""Hostile and harmless image files, made here byte by byte; their verdicts, whatever the buffers.

Numbers T-… are those of the list of advisories that every release is tested with.
"""

import random
import re
import shutil
import struct
import subprocess
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partage import problems
from partage.content import inspection

KIB, MIB = 1 << 10, 1 << 20


def inspected(data: Any, disk_format: str, container_format: str = "bare", sizes: Any = (65536,), **options: Any) -> Any:
    """Give the virtual size, or raise. `sizes` are the buffers' lengths, used in turn."""
    inspector = inspection.Inspector(disk_format, container_format, **options)
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        inspector.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return inspector.finish(len(data))


def verdict(data: Any, disk_format: str, container_format: str = "bare", sizes: Any = (65536,)) -> Any:
    try:
        return inspected(data, disk_format, container_format, sizes)
    except problems.FormatRefused as refused:
        return str(refused)


# Harmless files


def qcow2(*, version: int = 3, size: int = 10 * MIB, backing: Any = 0, features: Any = 0, rest: Any = 200 * KIB) -> Any:
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(rest)


def mbr(partitions: Any = ((0x80, 0x83, 2048, 100),), rest: Any = 100 * KIB) -> Any:
    table = b"".join(
        struct.pack("<B3sB3sII", boot, b"\0\2\0", kind, b"\0\0\0", start, size) for boot, kind, start, size in partitions
    )
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa" + bytes(rest)


def gpt() -> Any:
    return mbr(((0, 0xEE, 1, 0xFFFFFFFF),))


def iso(blocks: int = 300, head: Any = b"") -> Any:
    descriptor = b"\1CD001\1".ljust(80, b"\0") + struct.pack("<I", blocks) + bytes(44) + struct.pack("<H", 2048)
    return head.ljust(32 * KIB, b"\0") + descriptor.ljust(2048, b"\0") + bytes(blocks * 2048 - 34 * KIB)


def vdi(size: int = 7 * MIB) -> Any:
    return (
        b"<<< made here >>>".ljust(64, b"\0")
        + struct.pack("<I", 0xBEDA107F)
        + bytes(300)
        + struct.pack("<Q", size)
        + bytes(100 * KIB)
    )


def vhd(size: int = 5 * MIB, kind: Any = 3) -> Any:
    return (b"conectix".ljust(40, b"\0") + struct.pack(">Q", size) + bytes(12) + struct.pack(">I", kind)).ljust(512, b"\0")


def dynamic_vhd() -> Any:
    return vhd() + bytes(100 * KIB) + vhd()


def guid(text: Any) -> Any:
    return uuid.UUID(text).bytes_le


def vhdx(size: int = 9 * MIB, length: int = 8, where: Any = 2 * MIB, item: Any = 65536, *, more: bytes = b"") -> Any:
    data = bytearray(where + item + 64 * KIB)
    data[:8] = b"vhdxfile"
    data[192 * KIB : 192 * KIB + 16] = struct.pack("<IIII", 0x69676572, 0, 1, 0)
    entry = guid("8B7CA206-4790-4B9A-B8FE-575F050F886E") + struct.pack("<QII", where, MIB, 1)
    data[192 * KIB + 16 : 192 * KIB + 48] = entry
    data[where : where + 12] = struct.pack("<8sHH", b"metadata", 0, 1 + len(more) // 32)
    data[where + 32 : where + 60] = guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8") + struct.pack("<III", item, length, 0)
    data[where + 64 : where + 64 + len(more)] = more
    data[where + item : where + item + 8] = struct.pack("<Q", size)
    return bytes(data)


DESCRIPTOR = (
    '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{kind}"\n\n'
    '# Extent\n{extent}\n\nddb.adapterType = "ide"\n'
)


def vmdk_text(kind: Any = "monolithicSparse", extent: Any = 'RW 20480 SPARSE "disk.vmdk"', more: Any = "") -> Any:
    return (DESCRIPTOR.format(kind=kind, extent=extent) + more).encode()


def vmdk(
    text: Any = None,
    *,
    sectors: Any = 20480,
    at: int = 1,
    length: int = 20,
    directory: Any = 21,
    version: int = 1,
    rest: Any = 100 * KIB,
    **given: Any,
) -> Any:
    text = vmdk_text(**given) if text is None else text
    head = struct.pack("<4sIIQQQQIQQ", b"KDMV", version, 3, sectors, 128, at, length, 512, 0, directory)
    return head.ljust(512, b"\0") + text.ljust(length * 512, b"\0") + bytes(rest)


def with_footer(head: Any, **changed: Any) -> Any:
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    return head + marker + vmdk(directory=9, rest=0, **changed)[:512] + bytes(512)


def luks(version: int = 1) -> Any:
    return struct.pack(">6sH32s32s32sII", b"LUKS\xba\xbe", version, b"aes", b"xts-plain64", b"sha256", 4096, 64).ljust(
        600, b"\0"
    ) + bytes(100 * KIB)


HARMLESS = {
    "raw": (bytes(3 * MIB + 5), 3 * MIB + 5),
    "noise": (random.Random(1).randbytes(2 * MIB), 2 * MIB),
    "qcow2": (qcow2(), 10 * MIB),
    "qcow2 v2": (qcow2(version=2), 10 * MIB),
    "qcow2 dirty": (qcow2(features=1), 10 * MIB),
    "iso": (iso(), 300 * 2048),
    "iso+gpt": (iso(head=gpt()[:512]), 300 * 2048),
    "vdi": (vdi(), 7 * MIB),
    "vhd": (dynamic_vhd(), 5 * MIB),
    "vhdx": (vhdx(), 9 * MIB),
    "vmdk": (vmdk(), 20480 * 512),
    "vmdk stream": (with_footer(vmdk(kind="streamOptimized", directory=2**64 - 1)), 20480 * 512),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_image_is_accepted_with_its_virtual_size(name: str) -> None:
    data, virtual_size = HARMLESS[name]
    declared = {"noise": "raw"}.get(name, re.split("[ +]", name)[0])
    assert inspected(data, declared) == virtual_size


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_image_declared_raw_is_accepted_and_as_large_as_its_file(name: str) -> None:
    data, _virtual_size = HARMLESS[name]
    assert inspected(data, "raw") == len(data)


def test_disks_with_partitions_are_raw() -> None:
    for data in (mbr(), gpt()):
        assert inspected(data, "raw") == len(data)
        assert inspected(data, "gpt") == len(data)


@pytest.mark.parametrize("declared", ["ami", "aki", "ari", "ploop"])
def test_format_that_nobody_can_inspect_is_accepted_when_it_is_no_other(declared: str) -> None:
    assert inspected(b"\x1f\x8b" + random.Random(2).randbytes(MIB), declared) is None
    with pytest.raises(problems.FormatRefused, match=f"{declared} does not match stream data qcow2"):
        inspected(qcow2(), declared)


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "gpt"])
def test_other_bytes_than_declared_are_refused_with_both_names(declared: str) -> None:
    for data in (bytes(3 * MIB), random.Random(3).randbytes(3 * MIB), b"", b"x", b"text\n" * 500_000):
        with pytest.raises(problems.FormatRefused, match=f"disk_format {declared} does not match stream data raw"):
            inspected(data, declared)


def test_mismatch_is_noticed_before_the_whole_stream_has_come() -> None:
    for declared, enough in (("qcow2", MIB), ("iso", MIB), ("vhdx", MIB), ("vmdk", 2 * MIB)):
        inspector = inspection.Inspector(declared, "bare")
        with pytest.raises(problems.FormatRefused):
            inspector.feed(random.Random(4).randbytes(enough))


def test_match_can_be_switched_off_and_safety_cannot() -> None:
    assert inspected(bytes(MIB), "qcow2", match_required=False) is None
    with pytest.raises(problems.FormatRefused):
        inspected(qcow2(backing=8), "iso", match_required=False)


@pytest.mark.parametrize("container", ["ova", "ovf", "docker", "compressed", "ami", "aki", "ari"])
def test_other_containers_hold_what_they_like(container: str) -> None:
    for data in (
        bytes(MIB),
        b"\x1f\x8b" + bytes(508) + b"\x55\xaa" + bytes(MIB),
        b"name.ovf".ljust(100, b"\0") + b"0000644\0" + bytes(MIB),
        b"",
    ):
        assert inspected(data, "vmdk", container) is None


# Hostile files


def hostile() -> Any:
    """Name and bytes of everything that must be refused whatever it is declared as."""
    yield "T-41 backing file", qcow2(backing=0x200)
    yield "T-41 backing json", qcow2(backing=104)[:104] + b'json:{"driver":"file","filename":"/etc/passwd"}' + bytes(MIB)
    yield "T-41 tiny", qcow2(backing=104)[:104] + b"/etc/passwd"
    yield "T-43 data file", qcow2(features=4)
    yield "T-45 data file json", qcow2(features=5)[:104] + b'json:{"driver":"file","filename":"/etc/passwd"}' + bytes(MIB)
    for bit in range(4, 64):
        yield f"T-43 unknown bit {bit}", qcow2(features=1 << bit)
    for version in (0, 1, 4, 2**32 - 1):
        yield f"T-43 version {version}", qcow2(version=version)
    for kind in (
        "monolithicFlat",
        "twoGbMaxExtentFlat",
        "twoGbMaxExtentSparse",
        "vmfs",
        "vmfsSparse",
        "fullDevice",
        "partitionedDevice",
        "custom",
        "",
        "x" * 80,
    ):
        for extent in ('RW 2048 FLAT "/etc/passwd" 0', 'RW 2048 FLAT "neighbour" 0'):
            yield f"T-42 text {kind} {extent[13:20]}", vmdk_text(kind=kind, extent=extent)
            yield f"T-42 embedded {kind} {extent[13:20]}", vmdk(kind=kind, extent=extent)
    yield "T-42 text that claims to be sparse", vmdk_text()
    yield "T-42 sparse with a flat neighbour", vmdk(extent='RW 2048 FLAT "neighbour" 0')
    yield "T-42 sparse with a path", vmdk(extent='RW 2048 SPARSE "../other"')
    yield "T-42 no extent", vmdk(extent="")
    yield "T-42 parent file", vmdk(more='parentFileNameHint="/etc/passwd"\n')
    yield "T-42 parent file, after many lines", vmdk(more="# x\n" * 500 + 'parentFileNameHint="/etc/passwd"\n', length=20)
    yield "T-42 two types", vmdk(more='createType="monolithicFlat"\n')
    yield "T-42 two types, cased", vmdk(text=b'CREATETYPE="monolithicSparse"\n' + vmdk_text(kind="monolithicFlat"))
    yield "T-42 no capacity", vmdk(sectors=0)
    yield "T-42 wrong place", vmdk(at=2)
    yield "T-42 place far away", vmdk(at=2**40)
    yield "T-42 no descriptor", vmdk(text=b"")
    yield "T-42 strange line", vmdk(more="include /etc/passwd\n")
    yield "T-42 not ASCII", vmdk(more="# \xe9\n")
    yield "T-42 version", vmdk(version=9)
    yield "T-42 VMFS sparse", b"COWD" + bytes(508) + b'parentFileNameHint="/etc/passwd"\n' + bytes(MIB)
    yield (
        "T-42 long comment first",
        b"# comment\n" * 20_000 + vmdk_text(kind="monolithicFlat", extent='RW 2048 FLAT "/etc/passwd" 0'),
    )
    yield "T-42 comment not ASCII", b"# \xc3\xa9\n" + vmdk_text(kind="monolithicFlat", extent='RW 2048 FLAT "/etc/passwd" 0')
    yield (
        "T-42 type late",
        b"# Disk DescriptorFile\nversion=1\n" + b"#\n" * 100_000 + b'createType="vmfs"\nRW 1 VMFS "/etc/passwd"\n',
    )
    flat = vmdk_text(kind="monolithicFlat", extent='RW 2048 FLAT "/etc/passwd" 0')
    yield "T-42 descriptor before noise", flat + random.Random(7).randbytes(MIB)
    yield "T-42 descriptor before bytes that are no text", flat + b"\x01" * 2000 + bytes(MIB)
    yield "T-42 descriptor behind bytes that are no text", b"\x01\x02\n" + flat + bytes(MIB)
    yield "T-42 descriptor far behind bytes that are no text", b"\x01" * 90_000 + flat + bytes(MIB)
    yield "T-42 descriptor behind a comment of any bytes", b"# \x00\x01\xff\n \r\n" + flat + bytes(MIB)
    yield "T-42 descriptor in a padded file", vmdk_text(kind="vmfs").ljust(5 * MIB, b"\0")
    yield "T-42 footer missing", vmdk(kind="streamOptimized", directory=2**64 - 1)
    yield "T-42 footer with another descriptor", with_footer(vmdk(kind="streamOptimized", directory=2**64 - 1), at=7)
    yield "T-42 footer with another version", with_footer(vmdk(kind="streamOptimized", directory=2**64 - 1), version=3)


def hostile_as_a_whole() -> Any:
    """Several formats in one file, formats never accepted, files cut off."""
    yield "T-47 qcow2 and ISO", qcow2()[:512] + iso()[512:]
    yield "T-47 qcow2 and MBR", qcow2()[:446] + mbr()[446:]
    yield "T-47 VMDK and MBR", vmdk()[:446] + mbr()[446:512] + vmdk()[512:]
    yield "T-47 VMDK and ISO", vmdk()[: 32 * KIB] + iso()[32 * KIB :]
    yield "T-47 VDI and ISO", vdi()[:512] + iso()[512:]
    yield "T-47 qcow2, ISO and GPT", qcow2()[:446] + mbr()[446:512] + iso()[512:]
    yield "T-47 VHD footer on raw", random.Random(5).randbytes(MIB) + vhd(kind=2)
    yield "T-47 VHD footer on qcow2", qcow2() + vhd(kind=2)
    parent = guid("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C") + struct.pack("<IIII", 65536 + 8, 1000, 4, 0)
    other = guid("CDA348F7-445D-4471-9CC9-E9885251C556") + struct.pack("<IIII", 65536 + 16, 4, 6, 0)
    yield "VHDX with a parent", vhdx(more=parent)
    yield "VHDX with a parent behind other items", vhdx(more=other * 9 + parent)
    yield "VHD with a parent", vhd(kind=4) + bytes(MIB)
    yield "T-48 QED", b"QED\0" + bytes(MIB)
    yield "T-48 LUKS v2", luks(2)
    yield "T-48 MBR without partitions", mbr(())
    yield "T-48 MBR with a strange flag", mbr(((0x17, 0x83, 1, 1),))
    yield "T-48 GPT with more partitions", mbr(((0, 0xEE, 1, 9), (0, 0x83, 5, 9)))
    yield "T-48 GPT elsewhere", mbr(((0, 0xEE, 5, 9),))
    yield "T-49 VHDX without tables", b"vhdxfile" + bytes(MIB)
    yield "T-49 VHDX cut off", vhdx()[: 2 * MIB + 10]
    yield "T-49 VHD cut off", b"conectix" + bytes(100)
    yield "T-49 VMDK cut off", vmdk()[:900]


HOSTILE = dict([*hostile(), *hostile_as_a_whole()])
DECLARED = ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ami", "gpt", "ploop"]
PARTITIONS = {name for name in HOSTILE if "MBR w" in name or name.startswith("T-48 GPT") or "VHD footer" in name}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_image_is_refused_whatever_it_is_declared_as(name: str) -> None:
    for declared in DECLARED:
        with pytest.raises(problems.FormatRefused):
            inspected(HOSTILE[name], declared)


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - PARTITIONS - {"T-47 qcow2 and MBR", "T-47 VMDK and MBR"}))
@pytest.mark.parametrize("container", ["ova", "docker", "aki"])
def test_hostile_image_is_refused_in_any_container(name: str, container: str) -> None:
    with pytest.raises(problems.FormatRefused):
        inspected(HOSTILE[name], "raw", container)


def test_extreme_virtual_sizes_are_refused() -> None:
    """T-29: no column and no hypervisor can hold them."""
    for data, declared in (
        (qcow2(size=2**64 - 1), "qcow2"),
        (vhd(size=2**63) + bytes(MIB), "vhd"),
        (vhdx(size=2**64 - 1), "vhdx"),
        (vmdk(sectors=2**63), "vmdk"),
    ):
        with pytest.raises(problems.FormatRefused, match="virtual size"):
            inspected(data, declared)


def test_vhdx_whose_size_is_not_a_number_is_refused() -> None:
    for length in (0, 3, 9, 2**32 - 1):
        with pytest.raises(problems.FormatRefused):
            inspected(vhdx(length=length), "vhdx")


@pytest.mark.parametrize("name", [name for name in HOSTILE if "bit" not in name])
def test_verdict_on_hostile_bytes_does_not_depend_on_buffers(name: str) -> None:
    data = HOSTILE[name]
    for declared in ("raw", "qcow2", "vmdk"):
        assert (
            len({verdict(data, declared, sizes=sizes) for sizes in ((len(data) or 1,), (65536,), (4093, 1, 60_000), (MIB + 1,))})
            == 1
        )


def test_verdict_does_not_depend_on_single_bytes() -> None:
    for data in (qcow2(rest=500), qcow2(backing=9, rest=500), vmdk()[:3000], vmdk_text(), mbr(rest=9), luks()[:700], b"conectix"):
        for declared in ("raw", "qcow2", "vmdk"):
            assert verdict(data, declared, sizes=(1,)) == verdict(data, declared)


@given(st.sampled_from(sorted(HARMLESS)), st.lists(st.integers(5000, 200_000), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_verdict_on_harmless_bytes_does_not_depend_on_buffers(name: str, sizes: Any) -> None:
    data = HARMLESS[name][0]
    for declared in ("raw", re.split("[ +]", name)[0]):
        assert verdict(data, declared, sizes=sizes) == verdict(data, declared)


@pytest.mark.thorough
@given(
    st.sampled_from(sorted(HARMLESS)),
    st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 255)), max_size=12),
    st.integers(0, 70_000),
)
@settings(max_examples=300, deadline=None)
def test_damaged_headers_give_a_verdict_and_no_other_error(name: str, changes: Any, length: int) -> None:
    """T-49, small: any bytes, any length; the only exception that escapes is FormatRefused."""
    data = bytearray(HARMLESS[name][0][:length])
    for at, value in changes:
        data[at : at + 1] = bytes([value]) if at < len(data) else b""
    for declared in ("raw", "qcow2", "vmdk", "vhdx", "iso"):
        assert verdict(bytes(data), declared, sizes=(997,)) == verdict(bytes(data), declared)


def every_length(data: bytes, lengths: Any) -> None:
    """Cut a file at each length, and give it to the inspector whole and in other pieces."""
    for length in lengths:
        cut = data[:length]
        for declared in ("raw", "qcow2", "vmdk"):
            assert verdict(cut, declared, sizes=(997,)) == verdict(cut, declared, sizes=(length or 1,)), (declared, length)


HEADED = (
    "qcow2",
    "vdi",
    "vhd",
    "vhdx",
    "vmdk",
    "iso+gpt",
    "T-41 backing json",
    "T-42 parent file",
    "T-48 LUKS v2",
    "VHDX with a parent",
)


@pytest.mark.parametrize("name", HEADED)
def test_a_file_that_ends_anywhere_in_its_first_sectors_has_one_verdict(name: str) -> None:
    """T-49: every length to 600 bytes; with -m slow to 64 KiB, and those around each boundary beyond."""
    data = bytes(HARMLESS[name][0] if name in HARMLESS else HOSTILE[name])
    every_length(data, range(0, 601, 7))


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADED)
def test_a_file_that_ends_anywhere_has_one_verdict(name: str) -> None:
    data = bytes(HARMLESS[name][0] if name in HARMLESS else HOSTILE[name])
    every_length(data, [*range(4096), *range(4096, 65536, 61), *range(65530, 65545), *range(196_600, len(data), 4093)])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_ten_thousand_damaged_headers_of_each_format_give_a_verdict(name: str) -> None:
    """T-49: a hundred thousand and more in all. What is damaged is the head, the tables further in, and the length."""
    chance = random.Random(f"damages of {name}")
    whole = HARMLESS[name][0][: 300 * KIB]
    for _ in range(10_000):
        data = bytearray(whole[: chance.choice((len(whole), chance.randrange(2000), chance.randrange(len(whole)))) or 1])
        for _ in range(chance.randrange(1, 12)):
            at = chance.choice((chance.randrange(128), chance.randrange(1200), chance.randrange(len(whole))))
            data[at : at + 1] = bytes([chance.choice((0, 1, 255, chance.randrange(256)))]) if at < len(data) else b""
        declared = chance.choice(("raw", "raw", "qcow2", "vmdk", "vhdx", "iso", "ami"))
        size = chance.choice((1 + chance.randrange(700), 65536, MIB))
        assert verdict(bytes(data), declared, sizes=(max(size, len(data) // 500),)) == verdict(bytes(data), declared)


@pytest.mark.thorough
@given(
    st.sampled_from(
        [
            b"",
            b"QFI\xfb",
            b"KDMV",
            b"COWD",
            b"vhdxfile",
            b"conectix",
            b"QED\0",
            b"LUKS\xba\xbe",
            b"# Disk DescriptorFile\nversion=1\n",
        ]
    ),
    st.binary(max_size=3000),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_behind_a_known_beginning_give_a_verdict(magic: Any, rest: Any) -> None:
    for declared in ("raw", "qcow2", "vmdk", "vhd"):
        assert verdict(magic + rest, declared, sizes=(13, 700)) == verdict(magic + rest, declared)


def test_memory_stays_bounded_on_hostile_streams() -> None:
    """T-49: headers that ask for much must not make the inspector keep much."""
    streams = [
        vhdx(where=40 * MIB, length=2**32 - 1),
        vmdk()[:36] + struct.pack("<Q", 2**55) + vmdk()[44:512] + b"#" * (40 * MIB),
        b"a" * (40 * MIB),
        bytes(40 * MIB),
    ]
    for data in streams:
        inspector = inspection.Inspector("raw", "bare")
        tracemalloc.start()
        try:
            for at in range(0, len(data), 262144):
                inspector.feed(data[at : at + 262144])
            inspector.finish(len(data))
        except problems.FormatRefused:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * MIB


def test_refusal_says_what_was_declared_what_was_found_and_what_helps() -> None:
    with pytest.raises(problems.FormatRefused) as caught:
        inspected(qcow2(backing=9), "raw")
    sentence = str(caught.value)
    assert "declared as raw" in sentence
    assert "qcow2" in sentence
    assert "backing file" in sentence
    assert "qemu-img convert" in sentence


# The same with the real tool, where it is installed

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


@needs_qemu
@pytest.mark.parametrize(
    ("kind", "declared", "options"),
    [
        ("qcow2", "qcow2", []),
        ("qcow2", "qcow2", ["-o", "compat=0.10"]),
        ("qcow2", "qcow2", ["-o", "lazy_refcounts=on"]),
        ("qcow2", "qcow2", ["-o", "compression_type=zstd"]),
        ("qcow2", "qcow2", ["-o", "extended_l2=on"]),
        ("vmdk", "vmdk", ["-o", "subformat=monolithicSparse"]),
        ("vmdk", "vmdk", ["-o", "subformat=streamOptimized"]),
        ("vdi", "vdi", []),
        ("vpc", "vhd", ["-o", "subformat=dynamic,force_size=on"]),
        ("vhdx", "vhdx", []),
        ("raw", "raw", []),
    ],
)
def test_images_of_qemu_img_are_accepted(tmp_path: Path, kind: Any, declared: str, options: Any) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(4096) + random.Random(6).randbytes(3 * MIB) + bytes(13 * MIB - 4096))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, source, tmp_path / "image"], check=True)
    data = (tmp_path / "image").read_bytes()
    expected = verdict(data, declared)
    if "extended_l2=on" in options:
        assert "features" in expected
        return
    assert expected == 16 * MIB
    assert inspected(data, "raw") == len(data)


@needs_qemu
@pytest.mark.parametrize(
    "arguments",
    [
        ["-f", "qcow2", "-b", "canary", "-F", "raw", "x.img"],
        ["-f", "qcow2", "-b", 'json:{"driver":"raw","file":{"driver":"file","filename":"canary"}}', "-F", "raw", "x.img"],
        ["-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "x.img", "1M"],
        ["-f", "vmdk", "-o", "subformat=monolithicFlat", "x.img", "1M"],
        ["-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "x.img", "1M"],
        ["-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "x.img"],
        ["-f", "qed", "x.img", "1M"],
    ],
    ids=["backing", "json backing", "data file", "flat", "split", "parent", "qed"],
)
def test_hostile_images_of_qemu_img_are_refused(tmp_path: Path, arguments: Any) -> None:
    (tmp_path / "canary").write_bytes(b"secret" * 1000)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "parent.vmdk", "1M"], cwd=tmp_path, check=True)
    subprocess.run(["qemu-img", "create", "-q", *arguments], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.img").read_bytes()
    for declared in DECLARED:
        for container in ("bare", "ova"):
            with pytest.raises(problems.FormatRefused):
                inspected(data, declared, container)
