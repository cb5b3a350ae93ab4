"""A program that serves the Image API on a free port, for one caller whoever asks, and prints the port. Run by test_memory.py.

Usage: python -m tests.crashes.receiving FOLDER
"""

import socket
import sys
from pathlib import Path

import uvicorn

from partage.http.app import application
from partage.http.options import EdgeOptions
from partage.http.server.protocol import BoundedProtocol
from partage.main.process import memory, priority
from partage.model.caller import Caller
from partage.records import schema
from tests.crashes import worlds


class Anybody:
    """Believe everybody to be the owner of everything: what is measured is memory."""

    def find_cached(self, token: str, service_token: str | None = None) -> Caller:
        """Say who it is."""
        del token, service_token
        return worlds.OWNER

    validate = find_cached

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        """Believe it."""
        del token, service_token
        return True


def main() -> None:
    """Serve until killed, with memory set up as a worker has it."""
    memory.reuse_freed_buffers()
    service = worlds.compose(Path(sys.argv[1]))
    schema.upgrade(service.database)
    options = EdgeOptions(www_authenticate_uri="http://identity.example", data_thread_begins=priority.lower_thread_priority)
    app = application(service=service, identity=Anybody(), options=options)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, http=BoundedProtocol, loop="uvloop", ws="none", log_config=None)).run(sockets=[listener])


if __name__ == "__main__":
    main()
