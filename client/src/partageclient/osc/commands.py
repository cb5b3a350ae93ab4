"""What all commands share: rows with an exit status, one object, `--dry-run`, progress, and what Ctrl-C leaves.

A command that changes several things returns a row for each. Its exit status is 0 if all succeeded, 1 if some did not, and 130
after Ctrl-C. Failures are sentences on the standard error stream; `-f json` also has them in the column Error.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from osc_lib.command import command

from partageclient import errors, parallel
from partageclient.connections import Cloud
from partageclient.osc import plugin, tables
from partageclient.osc.tables import Column, Printable
from partageclient.printable import make_printable

FAILED, INTERRUPTED = 1, 130
_Result = TypeVar("_Result")


class CloudCommand(command.Command):
    """A command that prints no table. Subclasses set `status` where something failed without stopping the rest."""

    status = 0

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud that the user named (--os-cloud).

        Not `client_manager.partage`: osc-lib keeps that for the whole process, also when the next command is for another cloud.
        """
        return plugin.make_client(self.app.client_manager)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command, and return its exit status."""
        try:
            return int(super().run(parsed_args) or self.status)
        except errors.Interrupted:
            self.say("Interrupted: nothing was changed.")
            return INTERRUPTED

    def say(self, text: str) -> None:
        """Write a sentence to the standard error stream: output for programs stays clean."""
        print(make_printable(text), file=sys.stderr)  # noqa: T201 -- a command speaks by print

    def report(self, problems: Iterable[BaseException]) -> None:
        """Write each problem once, and let the command fail."""
        for text in dict.fromkeys(str(each) for each in problems):
            self.say(text)
            self.status = self.status or FAILED

    @contextmanager
    def progress(self, words: str) -> Iterator[parallel.Progress]:
        """Show progress on a terminal, in one line that is removed at the end."""
        line = parallel.ProgressLine(words)
        try:
            yield line
        finally:
            line.close()

    def finish(self, action: Callable[[], list[_Result]], words: str, *, rest: str = "not begun") -> list[_Result]:
        """Return the results of an action on many things; after Ctrl-C those that there are, and say how many are left.

        `rest` is what those are: what can be interrupted in the middle is not done, but perhaps begun.
        """
        try:
            return action()
        except errors.Interrupted as interrupt:
            self.status = INTERRUPTED
            self.say(f"Interrupted: {len(interrupt.results)} {words}, {interrupt.left} {rest}.")
            return interrupt.results  # type: ignore[return-value]


class RowsCommand(CloudCommand, command.Lister):
    """A command that prints a row for each thing. Its table fits 80 columns; every other format has all columns and whole texts."""

    def build_table(
        self, parsed_args: argparse.Namespace, columns: Sequence[Column], rows: Iterable[Sequence[Any]]
    ) -> tuple[list[str], list[list[Any]]]:
        """Return what take_action returns."""
        return tables.fit(columns, rows, for_people=parsed_args.formatter == "table" and not parsed_args.columns)


class OneCommand(CloudCommand, command.ShowOne):
    """A command that prints one thing, a line for each of its fields."""

    def build_fields(self, fields: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return what take_action returns."""
        width = tables.find_value_width(fields)
        return tuple(fields), tuple(Printable(each, width) if isinstance(each, str) else each for each in fields.values())


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add the option --dry-run."""
    parser.add_argument("--dry-run", action="store_true", help="Only show what would be done; change nothing")
