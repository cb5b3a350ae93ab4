"""What a refusal of image data advises is done here with the real programs; the result has to be accepted."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from partage import problems
from partage.content import inspection

MIB = 1 << 20
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
FORMATS = {*inspection.DISK_FORMATS, "aki", "ari", "ami", "ploop"}


def run(*command: str | Path) -> None:
    """Run a program, or skip the test where it is not installed."""
    program = shutil.which(command[0], path=PATH)
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run([program, *command[1:]], check=True, capture_output=True)


def refused(file: Path, disk_format: str, **options: object) -> str:
    """Give the sentence of a refusal; empty when the file is accepted."""
    inspector = inspection.Inspector(disk_format, options.pop("container_format", "bare"), **options)  # type: ignore[arg-type]
    try:
        with file.open("rb") as source:
            while piece := source.read(MIB):
                inspector.feed(piece)
        inspector.finish(file.stat().st_size)
    except problems.FormatRefused as problem:
        return str(problem)
    return ""


def follow(sentence: str, file: Path) -> None:
    """Do what the sentence advises; the result must be accepted. A sentence with several ways out is followed in each."""
    done = 0
    for command in re.findall(r"`(qemu-img convert [^`]*)`", sentence):
        out = file.with_name("out.qcow2")
        run(*command.split(), file, out)
        assert "upload the result as qcow2" in sentence
        assert refused(out, "qcow2") == ""
        done += 1
    for program in re.findall(r"unpack them with `(\w+)`", sentence):
        options = {"unzstd": ("-q",), "unlz4": ("-q", "-m"), "unzip": ("-q", "-d", str(file.parent))}.get(program, ("-k",))
        run(program, *options, file)
        assert refused(file.with_suffix(""), "qcow2") == ""
        done += 1
    for disk_format in re.findall(r"(?<!otherwise )declare the image as (\w+)", sentence):
        assert disk_format in FORMATS
        assert refused(file, disk_format) == ""
        done += 1
    for disk_format in re.findall(r"or convert it to (\w+)", sentence):
        kind = {"vhd": "vpc"}.get(disk_format, disk_format)
        run("qemu-img", "convert", "-O", kind, file, file.with_name(f"out.{kind}"))
        assert refused(file.with_name(f"out.{kind}"), disk_format) == ""
        done += 1
    if "declare disk_format and container_format as aki" in sentence:
        assert refused(file, "aki", container_format="aki") == ""
        done += 1
    assert done, sentence


def blank(folder: Path, mebibytes: int = 16) -> Path:
    file = folder / "disk"
    with file.open("wb") as out:
        out.truncate(mebibytes * MIB)
    return file


def hybrid(folder: Path) -> Path:
    disk = blank(folder)
    run("sgdisk", "-n", "1:2048:4095", "-n", "2:4096:8191", "-h", "1", disk)
    return disk


def without_entries(folder: Path) -> Path:
    disk = blank(folder)
    with disk.open("r+b") as out:
        out.seek(510)
        out.write(b"\x55\xaa")
    return disk


def file_system(*command: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        disk = blank(folder)
        run(*command, disk)
        return disk

    return make


def kernel(folder: Path) -> Path:
    """Make the head of a bzImage. Source: Linux's boot protocol for x86: the signature at 510, HdrS at 0x202."""
    file = folder / "vmlinuz"
    file.write_bytes(b"MZ".ljust(446, b"\x90") + b"\x01" * 64 + b"\x55\xaa\xeb\x6aHdrS" + b"\x90" * MIB)
    return file


def gpt_elsewhere(folder: Path) -> Path:
    disk = blank(folder)
    run("sgdisk", "-n", "1:2048:4095", disk)
    with disk.open("r+b") as out:
        out.seek(454)
        out.write(b"\x05\0\0\0")
    return disk


DISKS: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "hybrid MBR": (hybrid, "it has a hybrid MBR", "gptmbr"),
    "GPT elsewhere": (gpt_elsewhere, "does not start at sector 1", "gptmbr"),
    "no entries": (without_entries, "its partition table has no entries", "mbr"),
    "NTFS": (file_system("mkfs.ntfs", "-F", "-q", "-s", "512", "-p", "0", "-H", "0", "-S", "0"), "a file system (NTFS)", "mbr"),
    "exFAT": (file_system("mkfs.exfat"), "a file system (exFAT)", "mbr"),
    "FAT with one table": (file_system("mkfs.vfat", "-f", "1"), "a file system (FAT)", "mbr"),
    "kernel": (kernel, "it is a Linux kernel", "mbr"),
}


@pytest.mark.parametrize("name", DISKS)
def test_boot_sector_is_refused_for_its_real_reason_with_a_way_out(name: str, tmp_path: Path) -> None:
    make, reason, _check = DISKS[name]
    disk = make(tmp_path)
    sentence = refused(disk, "raw")
    assert reason in sentence
    assert "sgdisk" not in sentence
    follow(sentence, disk)


@pytest.mark.parametrize("name", DISKS)
def test_boot_sector_is_accepted_where_the_operator_lets_its_check_fail(name: str, tmp_path: Path) -> None:
    make, _reason, check = DISKS[name]
    disk = make(tmp_path)
    assert refused(disk, "raw", gpt_nonfatal=("mbr",)) == ""
    assert (refused(disk, "raw", gpt_nonfatal=("gptmbr",)) == "") == (check == "gptmbr")
    assert refused(disk, "qcow2", gpt_nonfatal=("mbr",)) != "", "only the fault of the table is let pass"


@pytest.mark.parametrize("declared", ["vhd", "raw"])
def test_fixed_vhd_is_refused_with_the_command_that_works(declared: str, tmp_path: Path) -> None:
    disk = tmp_path / "fixed.vhd"
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed", disk, "4M")
    sentence = refused(disk, declared)
    assert "qemu-img convert -f vpc -O qcow2" in sentence
    assert "fixed size" in sentence
    follow(sentence, disk)


@pytest.mark.parametrize("program", ["gzip", "bzip2", "xz", "zstd", "lz4", "zip"])
@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vhd", "iso"])
def test_compressed_data_is_named_and_not_advised_to_be_raw(program: str, declared: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, "4M")
    if program == "zip":
        with zipfile.ZipFile(disk.with_suffix(".qcow2.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(disk, disk.name)
    else:
        run(program, "-q", {"zstd": "-k", "lz4": "-m"}.get(program, "-k"), disk)
    (packed,) = [each for each in tmp_path.iterdir() if each.suffix != ".qcow2"]
    disk.unlink()
    sentence = refused(packed, declared)
    assert f"does not match stream data raw: the bytes are compressed with {program}" in sentence
    assert "declare" not in sentence
    if declared == "qcow2":
        follow(sentence, packed)


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"])
@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso"])
def test_format_other_than_declared_is_declared_or_converted(kind: str, declared: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", kind, disk, "4M")
    if {"vpc": "vhd"}.get(kind, kind) == declared:
        assert refused(disk, declared) == ""
        return
    sentence = refused(disk, declared)
    if (kind, declared) == ("raw", "vhd"):
        assert sentence.endswith("otherwise declare the image as raw")
        assert refused(disk, "raw") == ""
    else:
        follow(sentence, disk)


@pytest.mark.parametrize("declared", ["qcow2", "iso", "vmdk"])
def test_partitioned_disk_is_advised_to_be_raw(declared: str, tmp_path: Path) -> None:
    disk = blank(tmp_path)
    run("sgdisk", "-n", "1:2048:4095", disk)
    sentence = refused(disk, declared)
    assert "declare the image as raw" in sentence
    follow(sentence, disk)


@pytest.mark.parametrize("declared", ["raw", "qcow2", "vmdk"])
def test_qed_is_advised_to_be_converted(declared: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "qed", disk, "4M")
    follow(refused(disk, declared), disk)


@pytest.mark.parametrize("declared", ["raw", "qcow2", "iso"])
def test_backing_file_is_advised_to_be_flattened(declared: str, tmp_path: Path) -> None:
    base, disk = blank(tmp_path), tmp_path / "overlay"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", disk)
    sentence = refused(disk, declared)
    assert "it has a backing file" in sentence
    follow(sentence, disk)


def test_flat_vmdk_is_advised_to_be_converted(tmp_path: Path) -> None:
    disk = tmp_path / "disk.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", disk, "4M")
    follow(refused(disk, "vmdk"), disk)


def test_several_formats_are_advised_to_become_the_declared_one(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, "4M")
    with disk.open("r+b") as out:
        out.seek(510)
        out.write(b"\x55\xaa")
    sentence = refused(disk, "qcow2")
    assert "several formats at once (gpt, qcow2)" in sentence
    follow(sentence, disk)


def test_vhd_footer_behind_another_format_is_cut_off(tmp_path: Path) -> None:
    disk, fixed = tmp_path / "disk", tmp_path / "fixed.vhd"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, "4M")
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed", fixed, "4M")
    disk.write_bytes(disk.read_bytes() + fixed.read_bytes()[-512:])
    follow(refused(disk, "qcow2"), disk)


def test_encrypted_disk_that_cannot_be_checked_is_advised_to_be_wrapped(tmp_path: Path) -> None:
    disk = blank(tmp_path)
    with disk.open("r+b") as out:
        out.write(b"LUKS\xba\xbe\x00\x02")
    sentence = refused(disk, "raw")
    assert "luks" in sentence
    follow(sentence, disk)


def test_format_that_the_operator_does_not_accept_is_not_advised(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "vdi", disk, "4M")
    sentence = refused(disk, "iso", disk_formats=("qcow2", "iso"))
    assert "declare" not in sentence
    follow(sentence, disk)


def test_file_that_is_cut_off_is_not_advised_to_be_converted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "vhdx", disk, "4M")
    disk.write_bytes(disk.read_bytes()[: 1 << 20])
    assert "cut off or damaged" in refused(disk, "vhdx")


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
def test_compressed_data_that_looks_like_a_boot_sector_is_named(magic: bytes, tmp_path: Path) -> None:
    """One in 65,536 compressed files has the two bytes at 510 by chance."""
    file = tmp_path / "packed"
    file.write_bytes(magic.ljust(510, b"\x33") + b"\x55\xaa" + b"\x33" * 1000)
    assert "the bytes are compressed with" in refused(file, "raw")
