"""A walk-through: runs commands and requests as several projects, prints each with its output, and checks the output."""

import filecmp
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Check = Callable[[str], str | None]
"""Checks the output; returns what is wrong with it, or None."""


@dataclass
class Walk:
    """A running walk-through: the number of steps, and those that failed."""

    clouds_file: Path
    client: Path
    url: str
    steps: int = 0
    faults: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    _tokens: dict[str, str] = field(default_factory=dict)

    def say(self, words: str) -> None:
        """Print a heading for the next steps."""
        print(f"\n{_bold(f'# {words}')}", flush=True)

    def run(self, cloud: str, words: str, *checks: Check, fails: bool = False) -> str:
        """Run one command of the client as a project, print its output and check it; return the output.

        `fails`: the command must fail, because the project may not do this.
        """
        command = f"openstack --os-cloud {cloud} {words}"
        print(f"\n$ {command}", flush=True)
        status, output = self._run(cloud, words)
        print(output, end="" if output.endswith("\n") or not output else "\n", flush=True)
        expected_status = [f"exit status {status}"] if (status != 0) != fails else []
        faults = expected_status + [fault for check in checks if (fault := check(output)) is not None]
        self._note(command, faults)
        return output

    def compare(self, first: Path, second: Path) -> None:
        """Check that two files are equal."""
        command = f"cmp {first} {second}"
        print(f"\n$ {command}", flush=True)
        same = first.exists() and second.exists() and filecmp.cmp(first, second, shallow=False)
        if same:
            print(f"(equal, {first.stat().st_size} bytes)", flush=True)
        self._note(command, [] if same else ["the files differ"])

    def value(self, cloud: str, words: str) -> str:
        """Return one value of the client's output, without printing the command."""
        return self._run(cloud, words)[1].strip()

    def request(self, project: str, method: str, path: str, body: str = "", *checks: Check, status: int = 200) -> dict[str, Any]:
        """Send a request of the sharing API with curl as a project, print the JSON and check it; return the JSON."""
        sent = f" -H 'Content-Type: application/json' \\\n    -d '{body}'" if body else ""
        verb = "" if method == "GET" else f"-X {method} "
        command = f'curl {verb}"$IMAGE{path}" -H "X-Auth-Token: $TOKEN_{project.upper()}"{sent}'
        print(f"\n$ {command}", flush=True)
        written, found = self._curl(self._token(f"project-{project}"), method, path, body)
        shown = json.dumps(written, indent=2) if written else ""
        print(f"HTTP {found}\n{shown}".rstrip(), flush=True)
        faults = [] if found == status else [f"the status is not {status}"]
        self._note(command, faults + [fault for check in checks if (fault := check(shown)) is not None])
        return written

    def finish(self) -> bool:
        """Print how many steps passed and which failed; return whether all passed."""
        seconds = time.monotonic() - self.started
        summary = f"{len(self.faults)} of {self.steps} steps failed" if self.faults else f"All {self.steps} steps passed"
        print(_bold(f"\n{summary} ({seconds:.0f} s)"), flush=True)
        for fault in self.faults:
            print(f"  {fault}")
        return not self.faults

    def _token(self, cloud: str) -> str:
        if cloud not in self._tokens:
            self._tokens[cloud] = self.value(cloud, "token issue -f value -c id")
        return self._tokens[cloud]

    def _curl(self, token: str, method: str, path: str, body: str) -> tuple[dict[str, Any], int]:
        command = [
            "curl",
            "-sS",
            "-X",
            method,
            "-w",
            "\n%{http_code}",
            "-H",
            "Content-Type: application/json",
            "-H",
            "@-",
            self.url + path,
        ]
        command += ["-d", body] if body else []
        done = subprocess.run(command, input=f"X-Auth-Token: {token}", text=True, capture_output=True, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return (json.loads(text) if text else {}), int(status or 0)

    def _note(self, command: str, faults: list[str]) -> None:
        self.steps += 1
        for fault in faults:
            print(_bold(f"FAILED: {fault}"), flush=True)
        if faults:
            self.faults.append(f"{command}: {'; '.join(faults)}")

    def _run(self, cloud: str, words: str) -> tuple[int, str]:
        environment = {**os.environ, **_client_settings(self.clouds_file)}
        command = [str(self.client), "--os-cloud", cloud, *shlex.split(words)]
        done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
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


def _client_settings(clouds_file: Path) -> Mapping[str, str]:
    width = os.environ.get("CLIFF_MAX_TERM_WIDTH", "132")
    return {"OS_CLIENT_CONFIG_FILE": str(clouds_file), "CLIFF_MAX_TERM_WIDTH": width, "PYTHONWARNINGS": "ignore"}


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
