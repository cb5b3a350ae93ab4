"""The sharing walk-through with the real `openstack` client: prints each command and its output, and checks the output.

Project A owns an image and wants project B to run instances from it. Project C has no access.
"""

import filecmp
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images import Images

Check = Callable[[str], str | None]
"""Checks the output; returns what is wrong with it, or None."""


@dataclass
class Walk:
    """A running walk-through: the number of steps, and those that failed."""

    clouds_file: Path
    client: Path
    steps: int = 0
    faults: list[str] = field(default_factory=list)

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


def perform(walk: Walk, images: Images, folder: Path) -> bool:
    """Run the whole walk-through; return whether every step passed."""
    started = time.monotonic()
    b = walk.value("project-b", "token issue -f value -c project_id")
    walk.say(f"Three projects: A owns an image, B wants to run instances from it (project id {b}), C has no access")
    raw, qcow2 = _upload(walk, images)
    _share(walk, raw, b)
    _accept(walk, raw, b, images.raw, folder / "saved.raw")
    _reject(walk, raw, b)
    _withdraw(walk, raw, b)
    _share_the_other_format(walk, qcow2, b, images.qcow2, folder / "saved.qcow2")
    _delete(walk, raw, qcow2)
    print(_bold(f"\n{_summarize(walk)} ({time.monotonic() - started:.0f} s)"), flush=True)
    for fault in walk.faults:
        print(f"  {fault}")
    return not walk.faults


def _upload(walk: Walk, images: Images) -> tuple[str, str]:
    walk.say("A uploads the same disk as two private images, raw and qcow2")
    formats = {"raw": images.raw, "qcow2": images.qcow2}
    ids = [_create(walk, name, file) for name, file in formats.items()]
    walk.run("project-a", "image list --private", *(has(each, "active") for each in ids))
    return ids[0], ids[1]


def _create(walk: Walk, disk_format: str, file: Path) -> str:
    formats = f"--disk-format {disk_format} --container-format bare"
    words = f"image create --private {formats} --file {shlex.quote(str(file))} disk-{disk_format}"
    size = str(file.stat().st_size)
    return find_id(walk.run("project-a", words, has_field("status", "active"), has_field("size", size)))


def _share(walk: Walk, image: str, b: str) -> None:
    walk.say("B and C cannot see a private image")
    for other in ("project-b", "project-c"):
        walk.run(other, f"image show {image}", has("No Image found"), fails=True)
    walk.say("A shares the raw image with B")
    walk.run("project-a", f"image set --shared {image}")
    walk.run("project-a", f"image add project {image} {b}", has_field("status", "pending"), has_field("member_id", b))
    walk.run("project-a", f"image member list {image}", has(image, b, "pending"))
    walk.say("B can show the pending image by its id; B's list has it after B accepts")
    walk.run("project-b", f"image show {image}", has_field("visibility", "shared"))
    walk.run("project-b", "image list", lacks(image))
    walk.run("project-b", "image list --shared --member-status pending", has(image))


def _accept(walk: Walk, image: str, b: str, original: Path, saved: Path) -> None:
    walk.say("B accepts, finds the image in its list, and downloads it")
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", "image list --shared", has(image, "active"))
    walk.run("project-b", f"image show {image}", has_field("status", "active"), has_field("size", str(original.stat().st_size)))
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(original, saved)
    saved.unlink(missing_ok=True)
    walk.say("A sees that B accepted; C still cannot see the image; B cannot change it")
    walk.run("project-a", f"image member list {image}", has(b, "accepted"))
    walk.run("project-c", f"image show {image}", has("No Image found"), fails=True)
    walk.run("project-c", "image list --shared", lacks(image))
    walk.run("project-c", f"image save --file {shlex.quote(str(saved))} {image}", fails=True)
    walk.run("project-b", f"image set --name mine {image}", has("403"), fails=True)
    walk.run("project-b", f"image delete {image}", has("403"), fails=True)


def _reject(walk: Walk, image: str, b: str) -> None:
    walk.say("B rejects the image, which leaves B's list, and accepts it again")
    walk.run("project-b", f"image set --reject {image}")
    walk.run("project-b", "image list --shared", lacks(image))
    walk.run("project-a", f"image member list {image}", has(b, "rejected"))
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", "image list --shared", has(image))


def _withdraw(walk: Walk, image: str, b: str) -> None:
    walk.say("A removes B: B cannot see the image any more")
    walk.run("project-a", f"image remove project {image} {b}")
    walk.run("project-a", f"image member list {image}", lacks(b))
    walk.run("project-b", f"image show {image}", has("No Image found"), fails=True)
    walk.run("project-b", "image list --shared", lacks(image))


def _share_the_other_format(walk: Walk, image: str, b: str, original: Path, saved: Path) -> None:
    walk.say("The same with the qcow2 image: share, accept, download, compare")
    walk.run("project-a", f"image set --shared {image}")
    walk.run("project-a", f"image add project {image} {b}", has_field("status", "pending"))
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(original, saved)
    saved.unlink(missing_ok=True)


def _delete(walk: Walk, raw: str, qcow2: str) -> None:
    walk.say("A deletes both images while B is a member of one: B cannot see it any more")
    walk.run("project-a", f"image delete {raw} {qcow2}")
    walk.run("project-a", "image list", lacks(raw), lacks(qcow2))
    walk.run("project-b", f"image show {qcow2}", has("No Image found"), fails=True)
    walk.run("project-b", "image list --shared", lacks(qcow2))


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


def _summarize(walk: Walk) -> str:
    if not walk.faults:
        return f"All {walk.steps} steps passed"
    return f"{len(walk.faults)} of {walk.steps} steps failed"


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
