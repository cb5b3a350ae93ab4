"""The command `partage` as it is installed: quiet when Ctrl-C comes before it has begun.

Most of the first second is spent on imports, in the middle of which Python's own handler would raise a traceback.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

from partage.main import cli  # noqa: E402 - after the line above, or it would come too late


def main() -> int:
    """Run the command; let Ctrl-C end it quietly before and after."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return cli.main()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
