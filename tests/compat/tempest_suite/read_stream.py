"""Read what `tempest run --subunit` wrote: `python read_stream.py FILE` in Tempest's own environment, which has the library for it.

Prints a JSON object: the name of each test to its outcome (success, fail, skip) and the reason. A class that was skipped or failed
as a whole is said of each of its tests.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import subunit
import testtools

_WHOLE_CLASS = re.compile(r"(setUpClass|tearDownClass) \((.*)\)")
_OUTCOMES = {"success": "success", "skip": "skip", "fail": "fail", "xfail": "success", "uxsuccess": "fail"}


def main(file: Path) -> None:
    """Print the outcomes of one run."""
    tests: dict[str, dict[str, Any]] = {}
    with file.open("rb") as stream:
        result = testtools.StreamToDict(lambda test: tests.update({test["id"]: test}))
        result.startTestRun()
        subunit.ByteStreamToStreamResult(stream, non_subunit_name="stdout").run(result)
        result.stopTestRun()
    tests.pop("stdout", None)
    print(json.dumps(_of_each_test(tests)))


def _of_each_test(tests: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    classes = {found[2]: test for name, test in tests.items() if (found := _WHOLE_CLASS.fullmatch(name))}
    single = {name: test for name, test in tests.items() if not _WHOLE_CLASS.fullmatch(name)}
    for name, test in single.items():
        whole = classes.get(name.partition("[")[0].rpartition(".")[0])
        if whole and test["status"] == "exists":
            test.update(status=whole["status"], details=whole["details"])
    return {name: [_OUTCOMES.get(test["status"], "fail"), _reason(test)] for name, test in sorted(single.items())}


def _reason(test: dict[str, Any]) -> str:
    details = {name: content.as_text() for name, content in test["details"].items() if "traceback" in name or name == "reason"}
    if "reason" in details:
        return str(details["reason"])
    lines = [line for text in details.values() for line in text.splitlines()]
    said = [line.strip() for line in lines if line.lstrip().startswith("Details:")]
    raised = [line for line in lines if line[:1].isalpha() and not line.startswith("Traceback")]
    return " | ".join([*raised[-1:], *said[-1:]])[:500] or test["status"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
