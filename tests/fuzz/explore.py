"""Requests that schemathesis makes from the OpenAPI document, good and bad ones and chains of them; answers are held against it.

Source: schemathesis 4, "Command-line interface".
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from partage.http.v2.surface import OPENAPI_PATH
from tests.api.personas import Persona

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
)
"""Not those that want a 400 for whatever the document does not foresee: the Image API takes any query and any property."""

_COUNTED = re.compile(r"(\d+) generated")


@dataclass(frozen=True)
class Exploration:
    """How many requests were made, whether all was as it should be, and what schemathesis said."""

    count: int
    is_good: bool
    words: str


def explore(
    who: Persona,
    *,
    seed: int,
    examples: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    document: str = OPENAPI_PATH,
    **more: str,
) -> Exploration:
    """Explore the API of a document as somebody; of each operation so many examples. `more` are options of schemathesis."""
    command = [
        *(str(SCHEMATHESIS), "run", f"{who.endpoint}{document}", "--header", f"X-Auth-Token: {who.token}"),
        *("--phases", phases, "--checks", ",".join(CHECKS), "--seed", str(seed), "--max-examples", str(examples)),
        *("--request-timeout", "10", "--continue-on-failure", "--no-color", "--warnings", "off", "--generation-database", "none"),
        *(word for name, value in more.items() for word in (f"--{name.replace('_', '-')}", value)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).resolve().with_name("hooks.py"))}
    with TemporaryDirectory() as folder:  # it leaves notes where it is started
        run = subprocess.run(
            command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    counted = _COUNTED.search(run.stdout)
    return Exploration(
        int(counted[1]) if counted else 0, run.returncode == 0, run.stdout.replace(who.token or "-", f"<token of {who.name}>")
    )
