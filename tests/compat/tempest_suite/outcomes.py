"""What Glance passes, what is known not to pass here, and how a run compares. No input or output but the two kinds of files.

A file of outcomes has a line for each test, `success NAME`, `skip NAME` or `fail NAME`; a file of what is known has sections, a
reason after `## ` and below it the names. Other lines that start with # are comments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Outcomes = Mapping[str, tuple[str, str]]
"""Name of a test to its outcome (success, fail, skip) and the reason."""


@dataclass(frozen=True)
class Comparison:
    """A run here beside the run there; names in each list are sorted."""

    passed: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    skipped_alike: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed_alike: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    now_pass: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether all is as there, but for what is known; and nothing is called known that passes."""
        return not (self.failed or self.skipped or self.now_pass)

    @property
    def table(self) -> str:
        """How many tests came to which end."""
        rows = {
            "pass here as there": self.passed,
            "pass here, not there": self.more,
            "skipped here as there": self.skipped_alike,
            "fail here as there": self.failed_alike,
            "do not pass here, as is known": self.known,
            "FAIL HERE": self.failed,
            "SKIPPED HERE but run there": self.skipped,
            "PASS but are said not to": self.now_pass,
        }
        return "\n".join(f"{len(names):5}  {meaning}" for meaning, names in rows.items())


def compared(here: Outcomes, there: Mapping[str, str], known: Mapping[str, str]) -> Comparison:
    """Sort the tests of both runs. A test that passed there and was not run here counts as failed."""
    found = Comparison()
    for name in sorted({*here, *there}):
        _place(found, name, here.get(name, ("fail", ""))[0], there.get(name, "success"), name in known)
    return found


def _place(found: Comparison, name: str, here: str, there: str, is_known: bool) -> None:
    if here == "success":
        target = found.now_pass if is_known else found.passed if there == "success" else found.more
    elif is_known:
        target = found.known
    elif here == "skip":
        target = found.skipped_alike if there == "skip" else found.skipped
    else:
        target = found.failed_alike if there == "fail" else found.failed
    target.append(name)


def read_outcomes(file: Path) -> dict[str, str]:
    """Read a file of outcomes: name to outcome."""
    lines = [line.split() for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {name: outcome for outcome, name in lines}


def read_known(file: Path) -> dict[str, str]:
    """Read a file of what is known not to pass: name to reason.

    Raises:
        ValueError: a name stands before the first reason, or twice.
    """
    reason, names = "", dict[str, str]()
    for line in file.read_text().splitlines():
        if line.startswith("## "):
            reason = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            if not reason or line in names:
                raise ValueError(f"{file.name}: {line} has no reason, or stands there twice")
            names[line] = reason
    return names
