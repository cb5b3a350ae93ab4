"""A program that sends the events of a world to a webhook and is killed on the way. Run by tests/crashes/test_deliveries_killed.py.

Each request on standard input forks a process, each answer is a line of JSON, as in tests/crashes/acting.py.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from partage.operations.sharing import deliveries
from tests.crashes import tracing, worlds
from tests.unit.outbound import origins


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])

    def changes_something(call: tracing.Call) -> bool:
        return call.target.startswith((str(folder), "socket:"))

    plan = tracing.Plan(only=changes_something, kill_at=request["kill_at"])
    try:
        outcome = tracing.run(lambda: _deliver(folder, request["port"], request["minutes"]), plan)
    except tracing.Refused as refused:
        return {"refused": str(refused)}
    return {"word": outcome.word, "killed": outcome.killed, "calls": [str(call) for call in outcome.calls]}


def _deliver(folder: Path, port: int, minutes: int) -> str:
    """Deliver all that waits, some minutes later."""
    rules = origins.rules(port, hides_failures=False)
    service = worlds.compose(folder, fetch=rules, clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    while deliveries.deliver_next(service):
        pass
    service.close()
    return "done"


if __name__ == "__main__":
    main()
