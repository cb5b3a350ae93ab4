"""Conversion: the real qemu-img on real images, and programs in its place that do what a taken-over qemu-img would."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partage import problems
from partage.conversion import convert

CONTENT = (b"partage" * 10_000).ljust(3 << 20, b"\0")
WITHOUT = convert.Programs(bubblewrap="")


def bubblewrap_works() -> bool:
    """It needs user namespaces, which some machines do not give out."""
    program = shutil.which("bwrap")
    return (
        program is not None
        and subprocess.run([program, "--unshare-all", "--ro-bind", "/", "/", "true"], check=False).returncode == 0
    )


needs_bubblewrap = pytest.mark.skipif(not bubblewrap_works(), reason="bubblewrap is not installed, or may not make namespaces")
LOCKS = ["", pytest.param("bwrap", marks=needs_bubblewrap)]
TIGHT = convert.Bounds(seconds=2.0, cpu_seconds=1, file_bytes=8 << 20)

Stub = Callable[[str], convert.Programs]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "target: json:{}"
    yield path
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("target")) in ([], [path.name])


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    """Put a Python program in the place of qemu-img; OUT is a file it can tell the test something by."""

    def made(code: str) -> convert.Programs:
        path = tmp_path / "stub"
        body = textwrap.dedent(code)
        path.write_text(f"#!{sys.executable} -IS\nimport os, sys, time\nOUT = {str(tmp_path / 'told')!r}\n{body}")
        path.chmod(0o700)
        return convert.Programs(qemu_img=str(path), bubblewrap="")

    return made


def failing(source: Path, target: Path, programs: convert.Programs, bounds: convert.Bounds = TIGHT) -> problems.ConversionFailed:
    began = time.monotonic()
    with pytest.raises(problems.ConversionFailed) as failed:
        convert.convert(source, "raw", target, "qcow2", bounds, programs=programs)
    assert time.monotonic() - began < 10
    assert not target.exists()
    assert source.read_bytes() == CONTENT
    return failed.value


def made_with_qemu(path: Path, source: Path, driver: str) -> Path:
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", driver, source, path], check=True)
    return path


# The real one


@pytest.mark.parametrize("bubblewrap", LOCKS)
@pytest.mark.parametrize("source_format", sorted(set(convert.DRIVERS) - {"ploop"}))
def test_every_format_becomes_raw(source_format: str, bubblewrap: str, source: Path, target: Path, tmp_path: Path) -> None:
    given = made_with_qemu(tmp_path / "given", source, convert.DRIVERS[source_format])
    programs = convert.Programs(bubblewrap=bubblewrap)
    convert.convert(given, source_format, target, "raw", convert.Bounds(), programs=programs)
    assert target.read_bytes()[: len(CONTENT)] == CONTENT  # vhd rounds the size up
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("bubblewrap", LOCKS)
@pytest.mark.parametrize("target_format", ["qcow2", "vmdk", "vhd", "vhdx", "vdi"])
def test_raw_becomes_every_format(target_format: str, bubblewrap: str, source: Path, target: Path) -> None:
    convert.convert(source, "raw", target, target_format, convert.Bounds(), programs=convert.Programs(bubblewrap=bubblewrap))
    driver = convert.DRIVERS[target_format]
    told = subprocess.run(["qemu-img", "info", "-f", driver, "--output=json", target], capture_output=True, check=True)
    assert json.loads(told.stdout)["virtual-size"] >= len(CONTENT)


@pytest.mark.parametrize("source_format", ["qcow2", "vmdk", "vdi"])
def test_other_bytes_than_declared_are_refused(source_format: str, source: Path, target: Path) -> None:
    with pytest.raises(problems.ConversionFailed) as failed:
        convert.convert(source, source_format, target, "raw", convert.Bounds(), programs=WITHOUT)
    assert "Could not open" in failed.value.detail
    assert str(source) not in failed.value.sentence()
    assert not target.exists()


def test_raw_source_is_not_probed(source: Path, target: Path, tmp_path: Path) -> None:
    """What looks like qcow2 and is declared raw stays as it is, however often it is converted."""
    disguised = made_with_qemu(tmp_path / "given", source, "qcow2")
    convert.convert(disguised, "raw", target, "raw", convert.Bounds(), programs=WITHOUT)
    assert target.read_bytes()[: disguised.stat().st_size] == disguised.read_bytes()


def test_virtual_size_above_the_bound_is_refused(target: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", given, "1T"], check=True)
    with pytest.raises(problems.ConversionFailed):
        convert.convert(given, "qcow2", target, "raw", convert.Bounds(file_bytes=1 << 30), programs=WITHOUT)
    assert not target.exists()


@pytest.mark.parametrize(
    ("source_format", "target_format"), [("iso", "raw"), ("raw", "iso"), ("ami", "qcow2"), ("", "raw"), ("nbd", "raw")]
)
def test_format_that_is_not_converted(source_format: str, target_format: str, source: Path, target: Path) -> None:
    with pytest.raises(problems.ConversionFailed):
        convert.convert(source, source_format, target, target_format, convert.Bounds(), programs=WITHOUT)
    assert not target.exists()


def test_target_that_exists_is_left_alone(source: Path, target: Path) -> None:
    target.write_bytes(b"precious")
    with pytest.raises(problems.ConversionFailed):
        convert.convert(source, "raw", target, "qcow2", convert.Bounds(), programs=WITHOUT)
    assert target.read_bytes() == b"precious"


def test_absent_program_is_said_to_the_operator(source: Path, target: Path) -> None:
    failed = failing(source, target, convert.Programs(qemu_img="/does/not/exist", bubblewrap=""))
    assert "not installed" in failed.detail


# Taken over


def test_memory_is_limited(source: Path, target: Path, stub: Stub) -> None:
    """CVE-2015-5162."""
    failed = failing(source, target, stub("hoard = bytearray(4 << 30)\nfor page in range(0, 4 << 30, 4096): hoard[page] = 1"))
    assert "MemoryError" in failed.detail


def test_cpu_time_is_limited(source: Path, target: Path, stub: Stub) -> None:
    failed = failing(source, target, stub("while True: pass"), convert.Bounds(seconds=60.0, cpu_seconds=1))
    assert f"status {-signal.SIGXCPU}" in failed.detail or f"status {-signal.SIGKILL}" in failed.detail


def test_cpu_limit_holds_when_signals_are_ignored(source: Path, target: Path, stub: Stub) -> None:
    code = """
        import signal
        for each in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(each, signal.SIG_IGN)
        while True:
            pass
    """
    failing(source, target, stub(code))


def test_run_time_is_limited(source: Path, target: Path, stub: Stub) -> None:
    assert "not done after 1.0 seconds" in failing(source, target, stub("time.sleep(60)"), convert.Bounds(seconds=1.0)).detail


def test_a_conversion_that_is_not_wanted_any_more_ends(source: Path, target: Path, stub: Stub) -> None:
    asked = iter([True, True, False, False])
    began = time.monotonic()
    with pytest.raises(problems.ConversionFailed) as failed:
        convert.convert(
            source, "raw", target, "qcow2", convert.Bounds(), programs=stub("time.sleep(600)"), goes_on=lambda: next(asked)
        )
    assert time.monotonic() - began < 120
    assert failed.value.detail == "not wanted any more"
    assert not target.exists()


def test_file_does_not_grow_beyond_the_bound(source: Path, target: Path, stub: Stub) -> None:
    code = "with open(sys.argv[-1], 'wb') as target:\n while True:\n  target.write(bytes(1 << 20)); target.flush()"
    failing(source, target, stub(code))


def test_limits_cannot_be_raised(source: Path, target: Path, stub: Stub) -> None:
    code = """
        import resource
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
            soft, hard = resource.getrlimit(kind)
            print(kind, soft, hard, file=sys.stderr)
        sys.exit(1)
    """
    told = failing(source, target, stub(code)).detail.splitlines()
    assert len(told) == 5
    for line in (told[0].partition(": ")[2], *told[1:]):
        _, soft, hard = line.split()
        assert soft == hard != "-1"


def test_children_end_with_the_program(source: Path, target: Path, stub: Stub, tmp_path: Path) -> None:
    code = """
        if os.fork() == 0:
            open(OUT, "w").write(str(os.getpid()))
            time.sleep(60)
        while not os.path.exists(OUT) or not open(OUT).read():
            time.sleep(0.01)
        sys.exit(int(len(sys.argv) > 9))
    """
    convert.convert(source, "raw", target, "qcow2", TIGHT, programs=stub(code))
    assert gone(int((tmp_path / "told").read_text()))


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_program_ends_with_the_service(source: Path, target: Path, stub: Stub, tmp_path: Path) -> None:
    """Even when that is killed: nobody would ever wait for it again."""
    programs = stub("open(OUT, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    code = (
        "import sys\nfrom pathlib import Path\nfrom partage.conversion import convert\n"
        "source, target, program = sys.argv[1:]\n"
        "convert.convert(Path(source), 'raw', Path(target), 'qcow2', convert.Bounds(),"
        " programs=convert.Programs(qemu_img=program, bubblewrap=''))"
    )
    with subprocess.Popen([sys.executable, "-c", code, source, target, programs.qemu_img]) as service:
        told = tmp_path / "told"
        while not told.exists() or not told.read_text():
            assert service.poll() is None
            time.sleep(0.01)
        service.kill()
    assert gone(int(told.read_text()))


def test_program_gets_only_two_file_names(
    source: Path, target: Path, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTAGE_IDENTITY__PASSWORD", "secret")
    kept = os.open(source, os.O_RDONLY)
    os.set_inheritable(kept, True)
    code = """
        import json
        told = {
            "arguments": sys.argv[1:],
            "environment": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
            "files": sorted(int(each) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")),
            "input": os.readlink("/proc/self/fd/0"),
            "folder": os.getcwd(),
            "nice": os.nice(0),
            "leads": [os.getpid() == os.getpgid(0), os.getpid() == os.getsid(0)],
            "privileges": [line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
        }
        open(OUT, "w").write(json.dumps(told))
    """
    try:
        convert.convert(source, "vhd", target, "qcow2", TIGHT, programs=stub(code))
    finally:
        os.close(kept)
    told = json.loads((tmp_path / "told").read_text())
    assert told == {
        "arguments": ["convert", "-f", "vpc", "-O", "qcow2", "--", str(source), str(target)],
        "environment": {},
        "files": [0, 1, 2],
        "input": "/dev/null",
        "folder": "/",
        "nice": min(os.nice(0) + 10, 19),
        "leads": [True, True],
        "privileges": ["NoNewPrivs:\t1\n"],
    }


# Locked away


@needs_bubblewrap
def test_sandboxed_program_sees_two_files_and_no_network(source: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = tmp_path / "stub"
    script.write_text(
        "#!/bin/sh\n{ ls /; cat /etc/passwd; ls /home /root /var /etc " + str(tmp_path) + "; ls /proc; "
        "(: > /source) && echo wrote; (: > /usr/x) && echo wrote; cat " + str(tmp_path / "secret") + "; cat /proc/net/dev; "
        "id -u; echo x > /target; } >&2\nexit 1\n"
    )
    script.chmod(0o755)
    failed = failing(source, target, convert.Programs(qemu_img=str(script)))
    assert "wrote" not in failed.detail
    assert "secret\n" not in failed.detail
    assert "root:" not in failed.detail


@needs_bubblewrap
def test_sandboxed_program_is_killed_at_the_deadline(source: Path, target: Path, tmp_path: Path) -> None:
    script = tmp_path / "stub"
    script.write_text("#!/bin/sh\nsleep 61 & sleep 61\n")
    script.chmod(0o755)
    failing(source, target, convert.Programs(qemu_img=str(script)), convert.Bounds(seconds=1.0))
    sleeping = subprocess.run(["pgrep", "-f", "^sleep 61$"], capture_output=True, check=False)
    assert sleeping.stdout == b""
