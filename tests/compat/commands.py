"""Say `openstack --os-cloud NAME ...` or `glance ...` and read what it answers: in a prepared process, or as the program itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from tests.compat import offered
from tests.compat.clouds import Cloud

WIDE = {"CLIFF_MAX_TERM_WIDTH": "10000", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Answer:
    """What a command left: exit status, standard output, standard error."""

    status: int
    output: str
    errors: str


class Shell(Protocol):
    """Something that runs a command line."""

    def run(self, *arguments: str, folder: Path, merged: bool = False, data: Path | None = None) -> Answer:
        """Run `openstack` with these arguments in a folder; `merged` puts standard error into the output, as on a screen."""


@dataclass(frozen=True)
class Program:
    """The installed `openstack` program, a process from nothing each time."""

    clouds_file: Path

    def run(self, *arguments: str, folder: Path, merged: bool = False, data: Path | None = None) -> Answer:
        """Run the program."""
        with (data or Path(os.devnull)).open("rb") as given:
            done = subprocess.run(
                [Path(sys.executable).with_name("openstack"), *arguments],
                env={**os.environ, **WIDE, "OS_CLIENT_CONFIG_FILE": str(self.clouds_file)},
                cwd=folder,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                text=True,
                check=False,
            )
        return Answer(done.returncode, done.stdout, done.stderr or "")


@dataclass(frozen=True)
class Prepared:
    """The same client, imported once: see client_process.py."""

    process: subprocess.Popen[str]

    def run(
        self,
        *arguments: str,
        folder: Path,
        merged: bool = False,
        data: Path | None = None,
        program: str = "openstack",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """Run one command in a process forked for it."""
        output, errors = folder / ".output", folder / ".errors"
        output.write_text("")
        errors.write_text("")
        request: dict[str, Any] = {"arguments": arguments, "folder": str(folder), "input": str(data or os.devnull)}
        request |= {"program": program, "environment": dict(environment)}
        request |= {"output": str(output), "errors": str(output if merged else errors)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return Answer(status, output.read_text(), errors.read_text())


@contextmanager
def prepared(clouds_file: Path) -> Iterator[Prepared]:
    """Start the process that has imported the client, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("client_process.py")],
        env={**os.environ, **WIDE, "OS_CLIENT_CONFIG_FILE": str(clouds_file)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Prepared(process)
        assert process.stdin is not None
        process.stdin.close()


@dataclass(frozen=True)
class OpenStack:
    """The `openstack` command in one folder, for tests that want values and no tables."""

    shell: Shell
    folder: Path
    ran: set[str] = field(default_factory=set)
    """The commands that were run."""

    def __call__(self, who: str, *arguments: str, data: Path | None = None) -> Any:
        """Run a command that must succeed, and return its answer as values; None when it prints nothing."""
        self.ran.add(offered.command_of(arguments, offered.of_openstack()))
        tail = () if {"-f", "--file"} & {*arguments} and arguments[1] == "save" else ("-f", "json")
        answer = self.shell.run("--os-cloud", who, *arguments, *tail, folder=self.folder, data=data)
        assert answer.status == 0, f"openstack {' '.join(arguments)}: {answer.output}{answer.errors}"
        return json.loads(answer.output) if answer.output.strip() else None

    def says(self, who: str, *arguments: str) -> str:
        """Run a command without output that must succeed, and return what it says."""
        self.ran.add(offered.command_of(arguments, offered.of_openstack()))
        answer = self.shell.run("--os-cloud", who, *arguments, folder=self.folder, merged=True)
        assert answer.status == 0, f"openstack {' '.join(arguments)}: {answer.output}"
        return answer.output

    def fails(self, who: str, *arguments: str) -> str:
        """Run a command that must fail, and return what it says."""
        self.ran.add(offered.command_of(arguments, offered.of_openstack()))
        answer = self.shell.run("--os-cloud", who, *arguments, folder=self.folder, merged=True)
        assert answer.status != 0, f"openstack {' '.join(arguments)} succeeded: {answer.output}"
        return answer.output


@dataclass(frozen=True)
class Glance:
    """The old `glance` command in one folder. It reads no clouds.yaml, so that it is told everything."""

    shell: Prepared
    cloud: Cloud
    folder: Path
    ran: set[str] = field(default_factory=set)
    """The commands that were run."""

    def __call__(self, who: str, *arguments: str, data: Path | None = None) -> str:
        """Run a command that must succeed, and return what it prints."""
        answer = self._run(who, *arguments, data=data)
        assert answer.status == 0, f"glance {' '.join(arguments)}: {answer.output}"
        return answer.output

    def fails(self, who: str, *arguments: str) -> str:
        """Run a command that must fail, and return what it says."""
        answer = self._run(who, *arguments)
        assert answer.status != 0, f"glance {' '.join(arguments)} succeeded: {answer.output}"
        return answer.output

    def rows(self, who: str, *arguments: str, data: Path | None = None) -> list[dict[str, str]]:
        """Run a command that prints a table, and return its rows by their titles."""
        lines = [line for line in self(who, *arguments, data=data).splitlines() if line.startswith("|")]
        titles, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [dict(zip(titles, row, strict=True)) for row in rows]

    def document(self, who: str, *arguments: str, data: Path | None = None) -> dict[str, str]:
        """Run a command that prints names and values, and return them."""
        return {row["Property"]: row["Value"] for row in self.rows(who, *arguments, data=data)}

    def told(self, who: str) -> dict[str, str]:
        """Give the environment by which the command learns who asks, and where."""
        return {"OS_AUTH_TOKEN": self.cloud.token(who), "OS_IMAGE_URL": self.cloud.endpoint, "HOME": str(self.folder)}

    def _run(self, who: str, *arguments: str, data: Path | None = None) -> Answer:
        self.ran.add(offered.command_of(arguments, offered.of_glance()))
        told = self.told(who)
        return self.shell.run(*arguments, folder=self.folder, merged=True, data=data, program="glance", environment=told)
