"""What the processes of Nova and Cinder share: how they validate tokens, and how they serve their application."""

import json
import socketserver
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref import simple_server

import yaml


def configure_sign_in(clouds_file: Path) -> str:
    """Return the lines of a section that let a service validate tokens as the administrator of clouds.yaml."""
    auth = yaml.safe_load(clouds_file.read_text())["clouds"]["admin"]["auth"]
    settings = {"auth_type": "password", "www_authenticate_uri": auth["auth_url"], "service_token_roles_required": True, **auth}
    return "\n".join(f"{name} = {value}" for name, value in settings.items())


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Say nothing."""


def serve(port: int, application: Any, create: Callable[[dict[str, Any]], str]) -> None:
    """Serve an application; for each line of standard input create something, and print its id. Ends with the input."""
    with simple_server.make_server("127.0.0.1", port, application, _Server, _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        for line in sys.stdin:
            print(create(json.loads(line)), flush=True)
