"""A walk-through: runs commands as several projects, prints each with its output, and checks the output."""

import filecmp
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_WIDTH = 78
"""Of commands and headings; with the sign at the end of a command that goes on, a line has 80 characters."""

Check = Callable[[str], str | None]
"""Checks the output; returns what is wrong with it, or None."""


class Stopped(Exception):
    """The service has ended before the walk-through has."""


@dataclass
class Walk:
    """A running walk-through: the number of steps, and those that failed."""

    clouds_file: Path
    client: Path
    is_service_up: Callable[[], bool] = lambda: True
    steps: int = 0
    faults: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def say(self, words: str) -> None:
        """Print a heading for the next steps."""
        lines = textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        print("".join(f"\n{_bold(each)}" for each in lines), flush=True)

    def run(self, cloud: str, words: str, *checks: Check, fails: bool = False) -> str:
        """Run one command of the client as a project, print its output and check it; return the output.

        `fails`: the command must fail, because the project may not do this.

        Raises:
            Stopped: the service has ended, by Ctrl-C or by itself.
        """
        command = f"openstack --os-cloud {cloud} {words}"
        _print_command(command)
        status, output = self._run(cloud, words)
        for line in output.splitlines():
            print(
                line
                if line.startswith(("|", "+"))
                else textwrap.fill(line, _WIDTH + 2, break_long_words=False, drop_whitespace=False)
            )
        sys.stdout.flush()
        expected_status = [f"exit status {status}"] if (status != 0) != fails else []
        faults = expected_status + [fault for check in checks if (fault := check(output)) is not None]
        self._note(command, faults)
        return output

    def compare(self, first: Path, second: Path) -> None:
        """Check that two files are equal."""
        command = f"cmp {first} {second}"
        _print_command(command)
        same = first.exists() and second.exists() and filecmp.cmp(first, second, shallow=False)
        if same:
            print(f"(equal, {first.stat().st_size} bytes)", flush=True)
        self._note(command, [] if same else ["the files differ"])

    def check_width(self, wide: list[str]) -> None:
        """Check that no line so far was wider than a terminal of 80 columns."""
        self._note("the whole output", [f"wider than 80 columns: {each}" for each in wide])

    def value(self, cloud: str, words: str) -> str:
        """Return one value of the client's output, without printing the command."""
        return self._run(cloud, words)[1].strip()

    def finish(self) -> bool:
        """Print how many steps passed and which failed; return whether all passed."""
        seconds = time.monotonic() - self.started
        summary = f"{len(self.faults)} of {self.steps} steps failed" if self.faults else f"All {self.steps} steps passed"
        print(_bold(f"\n{summary} ({seconds:.0f} s)"), flush=True)
        for fault in self.faults:
            print(f"  {fault}")
        return not self.faults

    def _note(self, command: str, faults: list[str]) -> None:
        self.steps += 1
        for fault in faults:
            print(_bold(f"FAILED: {fault}"), flush=True)
        if faults:
            self.faults.append(f"{command}: {'; '.join(faults)}")

    def _run(self, cloud: str, words: str) -> tuple[int, str]:
        environment = {**os.environ, **_client_settings(self.clouds_file)}
        if not self.is_service_up():
            raise Stopped
        command = [str(self.client), "--os-cloud", cloud, *shlex.split(words)]
        done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if not self.is_service_up():  # what the client says then is of no interest
            raise Stopped
        return done.returncode, done.stdout


def has(*texts: str) -> Check:
    """Expect every text in the output."""
    return lambda output: next((f"{text} is missing" for text in texts if text not in output), None)


def lacks(text: str) -> Check:
    """Expect that a text is not in the output."""
    return lambda output: f"{text} is present" if text in output else None


def has_field(name: str, value: str) -> Check:
    """Expect a row of the client's table."""
    row = re.compile(rf"^\| {re.escape(name)} +\| {re.escape(value)} +\|$", re.MULTILINE)
    return lambda output: None if row.search(output) else f"{name} is not {value}"


def find_id(output: str) -> str:
    """Find the image's id in the client's table."""
    found = re.search(r"^\| id +\| ([0-9a-f-]{36}) +\|$", output, re.MULTILINE)
    return found.group(1) if found else "(no id)"


def find_value(output: str, name: str) -> str:
    """Find a value in the client's table."""
    found = re.search(rf"^\| {re.escape(name)} +\| (\S+) +\|$", output, re.MULTILINE)
    return found.group(1) if found else f"(no {name})"


def _print_command(command: str) -> None:
    """Print a command as it can be typed, on as many lines as it needs."""
    lines = textwrap.wrap(
        command, _WIDTH, initial_indent="$ ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    print("\n" + " \\\n".join(lines), flush=True)


def _client_settings(clouds_file: Path) -> Mapping[str, str]:
    width = os.environ.get("CLIFF_MAX_TERM_WIDTH", str(_WIDTH + 2))
    return {"OS_CLIENT_CONFIG_FILE": str(clouds_file), "CLIFF_MAX_TERM_WIDTH": width, "PYTHONWARNINGS": "ignore"}


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
