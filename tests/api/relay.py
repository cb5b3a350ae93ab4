"""A relay before a service, which counts every byte on its sockets, in both directions."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Relay:
    """Where the service is reached through the relay, and how many bytes have passed."""

    url: str = ""
    passed_bytes: int = 0
    connections: int = 0


@contextmanager
def relaying(endpoint: str) -> Iterator[Relay]:
    """Relay connections to a service on this machine."""
    target = urlsplit(endpoint)
    relay, lock = Relay(), threading.Lock()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with lock:
                    relay.passed_bytes += len(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((target.hostname, target.port)) as service:
            answering = threading.Thread(target=pump, args=(service, client))
            answering.start()
            pump(client, service)
            answering.join()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                relay.connections += 1
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield relay
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
