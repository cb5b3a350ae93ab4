"""Tempest and glance-tempest-plugin against `partage up`, outcome by outcome beside Glance 33: `make compat` runs it.

    python -m tests.compat.tempest_suite --tempest ENVIRONMENT --folder FOLDER [--only REGEX]

ENVIRONMENT has Tempest installed; FOLDER is replaced, and keeps configuration, logs and streams of the run. The exit status is 0
when every test that passes on Glance passes here, but for those in known.txt, of which none may pass.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.compat import whole_cloud
from tests.compat.tempest_suite import configuration, outcomes
from tests.compat.tempest_suite.outcomes import Outcomes

HERE = Path(__file__).parent
KNOWN = HERE / "known.txt"
CONCURRENCY = 2


@dataclass(frozen=True)
class Profile:
    """One way to run: which tests, and the outcomes on a Glance that was set up alike."""

    name: str
    regex: str
    there: Path
    format_checks: bool


PROFILES = (
    Profile(
        "with format checks",
        r"^(tempest\.api\.image|glance_tempest_plugin)|^tempest\.scenario\.test_unified_limits\.ImageQuota",
        HERE / "glance-33.txt",
        format_checks=True,
    ),
    Profile(
        "without format checks",
        r"^tempest\.api\.image\.v2\.(test_images\.(ListUserImages|ListSharedImages|BasicOperations)"
        r"|admin\.test_images\.BasicOperations|test_images_member)",
        HERE / "glance-33-without-format-checks.txt",
        format_checks=False,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both profiles, and return the exit status."""
    parser = argparse.ArgumentParser(prog="tempest_suite", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tempest", type=Path, required=True, help="the virtual environment that has Tempest")
    parser.add_argument("--folder", type=Path, required=True, help="replaced; keeps what the run leaves")
    parser.add_argument("--only", default="", help="only tests that this regular expression finds")
    chosen = parser.parse_args(arguments)
    known = outcomes.read_known(KNOWN)
    shutil.rmtree(chosen.folder, ignore_errors=True)
    good = [_judged(profile, chosen.tempest.absolute(), chosen.folder.absolute(), chosen.only, known) for profile in PROFILES]
    return 0 if all(good) else 1


def _judged(profile: Profile, environment: Path, folder: Path, only: str, known: dict[str, str]) -> bool:
    there = {name: outcome for name, outcome in outcomes.read_outcomes(profile.there).items() if re.search(only, name)}
    if not there:
        return True
    print(f"Tempest against Partage, {profile.name}: {len(there)} tests", flush=True)
    home = folder / profile.name.replace(" ", "-")
    home.mkdir(parents=True)
    here = run(profile, environment, home, there if only else None)
    found = outcomes.compared(here, there, {name: reason for name, reason in known.items() if name in there})
    for meaning, names in (("fails", found.failed), ("is skipped", found.skipped), ("passes by now", found.now_pass)):
        for name in names:
            print(f"{meaning}: {name}\n    {' '.join(here.get(name, ('', 'was not run'))[1].split())}")
    print(found.table, flush=True)
    return found.is_good


def run(profile: Profile, environment: Path, home: Path, chosen: dict[str, str] | None) -> Outcomes:
    """Run Tempest on a cloud of its own, and return each test's outcome and reason; `chosen`: only these."""
    workspace, stream = home / "workspace", home / "stream.subunit"
    variables = {**os.environ, "PATH": f"{environment}/bin:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore", "HOME": str(home)}
    checks = {"PARTAGE_FORMATS__REQUIRE_IMAGE_FORMAT_MATCH": str(profile.format_checks).lower()}
    listed = home / "chosen"
    if chosen is not None:
        listed.write_text("".join(f"^{re.escape(name)}$\n" for name in chosen))
    which = ["--regex", profile.regex] if chosen is None else ["--include-list", str(listed)]
    with (
        whole_cloud.running(home, by_reference=True, **checks) as found,
        stream.open("wb") as out,
        (home / "tempest.err").open("wb") as errors,
    ):
        subprocess.run(["tempest", "init", workspace], env=variables, check=True, stdout=errors, stderr=errors)
        written = configuration.text(found, workspace, format_checks=profile.format_checks)
        (workspace / "etc" / "tempest.conf").write_text(written)
        command = ["tempest", "run", *which, "--concurrency", str(CONCURRENCY), "--subunit"]
        subprocess.run(command, cwd=workspace, env=variables, check=False, stdout=out, stderr=errors)
    reader = [environment / "bin" / "python", HERE / "read_stream.py", stream]
    read = subprocess.run(reader, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return {name: (outcome, reason) for name, (outcome, reason) in json.loads(read.stdout).items()}


if __name__ == "__main__":
    sys.exit(main())
