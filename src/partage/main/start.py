"""The installed command `partage`: Ctrl-C during its start ends it without a traceback.

Most of the first second is spent on imports, during which Python's own handler would print a traceback.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

from partage.main import cli  # noqa: E402 - after the line above, or it would come too late


def main() -> int:
    """Run the command; Ctrl-C before and after ends it without a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return cli.main()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
