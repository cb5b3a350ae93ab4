"""Run commands of the unmodified `openstack` and `glance` clients, each in a process of its own.

The client needs more than a second to import itself. This program imports it once and forks for each command, so that a command
behaves as it does from a shell and takes a third of the time. It reads one JSON object a line (`program`, `arguments`, `folder`,
`environment` to be added, and the files `input`, `output` and `errors`) and answers each with a line: the exit status.
"""

import json
import os
import signal
import sys
from typing import Any, NoReturn

import glanceclient.shell
import glanceclient.v2.client
import glanceclient.v2.shell
import openstack.image.v2._proxy  # noqa: F401 - imported here so that no command has to
import openstackclient.identity.common
import openstackclient.image.client
import openstackclient.image.v2.image  # noqa: F401 - here so that no command has to
from openstackclient import shell

PATIENCE_SECONDS = 120
PROGRAMS = {"openstack": shell.main, "glance": glanceclient.shell.main}


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            become(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(request: dict[str, Any]) -> NoReturn:
    """Turn this process into one run of the client."""
    code: object = 70
    try:
        signal.alarm(PATIENCE_SECONDS)
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        sys.argv = [request["program"], *request["arguments"]]
        write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        for number, (name, flags) in enumerate([("input", os.O_RDONLY), ("output", write), ("errors", write)]):
            os.dup2(os.open(request[name], flags, 0o600), number)
        code = PROGRAMS[request["program"]]()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
