"""Attack the real service on each database with tens of thousands of requests: `make fuzz`, or python -m tests.fuzz --help.

Prints the seed, which PARTAGE_FUZZ_SEED repeats, counts, and failures with their requests. Ends with 1 if there are any.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz import attack, service
from tests.fuzz.explore import explore

DATABASES = ("sqlite", "postgresql")
STEP = 2000
"""After so many requests the service is looked at."""


def main() -> int:
    """Attack, and say how it went."""
    given = _arguments()
    seed = attack.seed_of_this_run()
    failures = 0
    with TemporaryDirectory(prefix="partage-fuzz-") as folder:
        for database in given.database or DATABASES:
            with service.running(Path(folder) / database, database) as target:
                failures += _attack(target, f"{database}: ", seed, given)
    print(f"{failures} failures" if failures else "no failures", flush=True)
    return min(failures, 1)


def _attack(target: service.Target, name: str, seed: int, given: argparse.Namespace) -> int:
    failures = 0
    count = 0
    for part, words, faults in _parts(target, seed, given):
        count += part
        found = [*faults, *target.faults()]
        failures += len(found)
        print("\n".join([f"{name}{words}", *found]), flush=True)
    print(f"{name}{count} requests in all, {target.mebibytes()} MiB at most, {failures} failures", flush=True)
    return failures


def _parts(target: service.Target, seed: int, given: argparse.Namespace) -> Iterator[tuple[int, str, list[str]]]:
    """Attack step by step; give how many requests a step was, what came of them, and what was wrong."""
    for who in (target.people.owner, target.people.admin) if given.examples else ():
        begun = time.monotonic()
        found = explore(who, seed=seed, examples=given.examples)
        words = f"{found.count} requests of schemathesis as {who.name} in {time.monotonic() - begun:.0f} s"
        yield found.count, words, [] if found.is_good else [found.words]
    yield _told(attack.with_everything(target.people, seed=seed, origin=target.origin))
    for step in range(0, given.requests, STEP):
        count = min(STEP, given.requests - step)
        yield _told(attack.at_once(target.people, count, seed=seed + step, origin=target.origin, clients=given.clients))


def _told(tally: attack.Tally) -> tuple[int, str, list[str]]:
    return tally.count, tally.summary(), tally.failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Attack the image service.")
    parser.add_argument("--database", action="append", choices=DATABASES, help="attack it on this one only")
    parser.add_argument("--requests", type=int, default=14_000, help="requests by chance on each database")
    parser.add_argument(
        "--examples", type=int, default=30, help="examples of each operation that schemathesis makes; 0: none at all"
    )
    parser.add_argument("--clients", type=int, default=4, help="how many send at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
