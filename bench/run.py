"""Compare Partage with the real Glance on the same machine, in turn, on the same work; print ratios and what is to be reached.

    make bench                       1,000 images, files of 1 GiB; about a quarter of an hour
    python bench/run.py --quick      100 images, files of 128 MiB; about two minutes
    python bench/run.py --phases list,show

Glance, its Keystone and its MariaDB come from the scripts in PEER_DIR (default ../shared/peer), with everything of theirs below
PEER_ROOT; one that already answers is used as it is. Results are written below .bench/. See bench/README.md.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aims
import crowd
import days
import machine
import parts
import services
import where

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / ".bench"
METADATA = ("list", "show", "members", "load")
FILES = ("upload", "download")
PHASES = (*METADATA, *FILES, "crowd", "machine")
MIB = 1 << 20


def main() -> int:
    """Run what the command line asks for."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that what was started is ended
    chosen = _arguments()
    scripts = Path(os.environ.get("PEER_DIR", HERE.parent.parent / "shared" / "peer"))
    root = Path(os.environ.get("PEER_ROOT", Path(tempfile.gettempdir()) / "peer"))
    if not (scripts / "bench.py").is_file():
        print(f"bench: no scripts of the real Glance in {scripts}; say where they are with PEER_DIR=...", file=sys.stderr)
        return 2
    stamp = time.strftime("%Y%m%d-%H%M%S")
    data = OUT / f"data-{stamp}"
    try:
        with services.glance(scripts, root, keep=chosen.keep) as glance, services.partage(data, _free_port()) as partage:
            run = Run(scripts, root, [glance, partage], chosen)
            run.everything()
    finally:
        if not chosen.keep:
            shutil.rmtree(data, ignore_errors=True)
    for document in (OUT / f"{stamp}.json", OUT / "latest.json"):
        document.write_text(json.dumps(run.document(), indent=1) + "\n")
    print("\n".join(["", *run.summary(), "", f"written to {OUT / f'{stamp}.json'}"]))
    return 0


class Run:
    """One comparison and what it has found so far."""

    def __init__(self, scripts: Path, root: Path, both: list[services.Service], chosen: argparse.Namespace) -> None:
        self.scripts, self.root, self.both, self.chosen = scripts, root, both, chosen
        self.results: aims.Results = {}
        self.small: aims.Results = {}
        self.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.load_before = os.getloadavg()
        self.bench = _module(scripts / "bench.py")

    def everything(self) -> None:
        """Measure every phase that was asked for."""
        phases, images = self.chosen.phases, self.chosen.images
        self._note_memory()
        if {"list", "show"} & {*phases} and not self.chosen.no_growth:
            self.small = self._compare([each for each in phases if each in {"list", "show"}], images // 10)
        if {*METADATA} & {*phases}:
            self.results |= self._compare([each for each in phases if each in METADATA], images)
        if "machine" in phases:
            self._machine()
        if {*FILES} & {*phases}:
            self.results |= self._compare([each for each in phases if each in FILES], 0)
            if "upload" in phases:
                self._next_day()
                self._parts()
            if "machine" in phases:
                self._machine()
        if "crowd" in phases:
            self._crowd()

    def summary(self) -> list[str]:
        """Write what was found."""
        lines = [*aims.report(self.results)]
        if self.small:
            lines += ["", *aims.growth(self.small, self.results)]
        if {*FILES} & {*self.chosen.phases}:
            lines += ["", *where.report(self.results)]
        load = " -> ".join(f"{each:.1f}" for each in (self.load_before[0], os.getloadavg()[0]))
        return [*lines, "", f"{os.cpu_count()} processors, load {load}; ratios of one run count, absolute figures do not"]

    def document(self) -> dict[str, Any]:
        """Return everything, for the record."""
        given = {name: value for name, value in vars(self.chosen).items() if isinstance(value, int | str | list)}
        return {
            "when": self.started,
            "options": given,
            "processors": os.cpu_count(),
            "load": [self.load_before, os.getloadavg()],
            "results": self.results,
            f"results with {self.chosen.images // 10} images": self.small,
            "report": self.summary(),
        }

    def _compare(self, phases: list[str], images: int) -> aims.Results:
        """Run the scripts' own benchmark on both services in turn."""
        quick = self.chosen.quick
        with services.people(self.both) as people, tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "result.json"
            command = [sys.executable, self.scripts / "bench.py", *people.arguments, "--out", out, "--members", "2"]
            for service in self.both:
                command += ["--target", service.target]
            for name, path in self._files().items() if {*FILES} & {*phases} else ():
                command += ["--file", f"{name}={path}"]
            command += ["--phases", ",".join([*(["populate"] if images else []), *phases]), "-n", str(images)]
            command += [
                "--rounds",
                "1" if quick else "2",
                "--samples",
                "20" if quick else "40",
                "--seconds",
                "4" if quick else "10",
            ]
            command += ["--load-seconds", "3" if quick else "6"]
            subprocess.run(command, check=True)
            found = dict(json.loads(out.read_text())["results"])
            return found | (self._long_page(people) if "list" in phases else {})

    def _long_page(self, people: services.People) -> aims.Results:
        """Measure the longest page there can be: its own samples, because a walk through pages counts an empty last one."""
        targets = [self._target(service, people) for service in self.both]
        measure = self.bench.get_measure("owner", lambda _target: ["/v2/images?limit=1000"], 10, 10)
        rounds: dict[str, list[Any]] = {target.name: [] for target in targets}
        for turn in range(1 if self.chosen.quick else 2):
            for target in targets:
                rounds[target.name].append(measure(target, turn))
        return {aims.THOUSAND: {name: {"median": self.bench.summarise(each), "rounds": each} for name, each in rounds.items()}}

    def _target(self, service: services.Service, people: services.People) -> Any:
        roles = dict(zip(("owner", "member", "other"), people.arguments[1::2], strict=True))
        return self.bench.Target(service.target, argparse.Namespace(**roles))

    def _machine(self) -> None:
        """Measure what is possible; before the files are sent and after, because others may use the machine too."""
        files = self._files()
        for streams in (1, 4):
            self._found(f"md5 and sha512 x{streams}", "machine", mib_per_s=machine.digests(files["random"], streams))
            self._found(f"sendfile disk x{streams}", "machine", **machine.sendfile(self.bench.Conn, files["disk"], streams))

    def _parts(self) -> None:
        for name, path in self._files().items():
            self._found(f"{where.PARTS} {name}", "machine", **parts.measure_upload(path, OUT))

    def _next_day(self) -> None:
        day = self._files()["disk"]
        next_day = days.make_next_day(day, OUT / f"files-{self.chosen.size}" / "next-day.raw")
        with services.people(self.both) as people:
            for _ in range(1 if self.chosen.quick else 2):
                for service in self.both:
                    found = days.upload_next_day(self.bench, self._target(service, people), day, next_day)
                    self._found(where.NEXT_DAY, service.name, **found)

    def _crowd(self) -> None:
        with services.people(self.both) as people:
            for service in self.both:
                target = self._target(service, people)
                seconds = 4 if self.chosen.quick else 10
                found = crowd.show_among_others(self.bench, target, self._files()["random"], streams=4, seconds=seconds)
                self._found("show while 4 downloads and 4 uploads run", service.name, **found)

    def _note_memory(self) -> None:
        for service in self.both:
            workers = [machine.memory_mib(pid) for pid in self.bench.tree(service.pid)[1:]]
            self._found("memory of a worker, idle", service.name, mib=max(workers), processes=len(workers))

    def _found(self, measure: str, name: str, **figures: Any) -> None:
        entry = self.results.setdefault(measure, {}).setdefault(name, {"rounds": []})
        entry["rounds"].append(figures)
        entry["median"] = {key: round(statistics.median(each[key] for each in entry["rounds"]), 2) for key in figures}
        print(f"{measure:45} {name}: {figures}", flush=True)

    def _files(self) -> dict[str, Path]:
        """Make the files that are sent, once: random bytes, zeros and a file system."""
        if self.chosen.size == 1024:  # noqa: PLR2004 - the size that the scripts make
            subprocess.run(["bash", self.scripts / "make_images.sh", "big"], check=True, stdout=subprocess.DEVNULL)
            folder = self.root / "img"
            return {"random": folder / "random1g", "zeros": folder / "zero1g", "disk": folder / "disk1g.raw"}
        return _made_files(OUT / f"files-{self.chosen.size}", self.chosen.size)


def _made_files(folder: Path, size_mib: int) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"random": folder / "random", "zeros": folder / "zeros", "disk": folder / "disk.raw"}
    if not files["disk"].exists():
        with files["random"].open("wb") as random, files["zeros"].open("wb") as zeros:
            for _ in range(size_mib):
                random.write(os.urandom(MIB))
                zeros.write(bytes(MIB))
        draft = files["disk"].with_suffix(".draft")
        with draft.open("wb") as file:
            file.truncate(size_mib * MIB)
        content = next(path for path in (Path(sys.prefix) / "lib", Path("/usr/share/perl5")) if path.is_dir())
        # what does not fit is left out: the file system is full of real files either way
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", content, draft], check=False, stderr=subprocess.DEVNULL)
        draft.rename(files["disk"])
    return files


def _module(path: Path) -> Any:
    """Load the scripts' benchmark as a module, for its client."""
    spec = importlib.util.spec_from_file_location("peer_bench", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"bench: {path} cannot be loaded")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: 100 images, files of 128 MiB, one round")
    parser.add_argument("--phases", type=lambda text: text.split(","), default=list(PHASES), help=f"some of {','.join(PHASES)}")
    parser.add_argument("--images", type=int, help="how many images (default 1000)")
    parser.add_argument(
        "--size", type=int, default=int(os.environ.get("BENCH_SIZE", "0")), help="MiB of a file (default $BENCH_SIZE or 1024)"
    )
    parser.add_argument("--keep", action="store_true", help="leave Partage's data, and a Glance that was started, as they are")
    parser.add_argument("--no-growth", action="store_true", help="do not measure list and show with a tenth of the images as well")
    chosen = parser.parse_args()
    unknown = {*chosen.phases} - {*PHASES}
    if unknown:
        parser.error(f"no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    chosen.images = chosen.images or (100 if chosen.quick else 1000)
    chosen.size = chosen.size or (128 if chosen.quick else 1024)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
