"""A real nginx and a real HAProxy before one or more services, as operators set them up; see docs/proxies.md."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from partage.main.process import listening
from tests import standalone

SBIN = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

WEBSOCKET = """
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;"""
PLAIN = """
            proxy_set_header Connection "";"""

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log warn;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream partage {{
        {servers}
        keepalive {kept};
        keepalive_timeout 2s;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://partage;
            proxy_http_version 1.1;{lines}
            proxy_set_header Host $host;
            proxy_request_buffering {buffering};
            proxy_buffering off;
            proxy_read_timeout 300s;
            proxy_next_upstream error timeout http_503;
            proxy_next_upstream_tries 2;
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-request 60s
    timeout tunnel 300s
    option http-keep-alive
    option redispatch
    retries 3
    retry-on conn-failure empty-response
frontend images
    bind 127.0.0.1:{port}
    default_backend partage
backend partage
    http-reuse {reuse}
    option httpchk GET /healthcheck
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 2
    {servers}
"""


@contextmanager
def nginx(
    folder: Path, ports: Sequence[int], *, lines: str = PLAIN, request_buffering: bool = False, kept: int = 32
) -> Iterator[str]:
    """Run nginx before services on these ports of this machine; give its URL."""
    servers = "\n        ".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;" for each in ports)
    port = listening.find_free_port()
    text = NGINX.format(
        folder=folder, servers=servers, port=port, lines=lines, buffering="on" if request_buffering else "off", kept=kept
    )
    with _running(folder, "nginx", text, ["-p", str(folder), "-c"], port) as url:
        yield url


@contextmanager
def haproxy(folder: Path, ports: Sequence[int], *, reuse: str = "safe") -> Iterator[str]:
    """Run HAProxy before services on these ports of this machine; give its URL. It passes `Upgrade` on without being asked."""
    servers = "\n    ".join(f"server at{each} 127.0.0.1:{each}" for each in ports)
    port = listening.find_free_port()
    with _running(folder, "haproxy", HAPROXY.format(servers=servers, port=port, reuse=reuse), ["-db", "-f"], port) as url:
        yield url


@contextmanager
def _running(folder: Path, name: str, configuration: str, arguments: list[str], port: int) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.conf"
    file.write_text(configuration)
    program = shutil.which(name, path=SBIN)
    if program is None:
        raise RuntimeError(f"{name} is not installed; make installs it before it runs the tests")
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen([program, *arguments, str(file)], stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        standalone.wait_for(lambda: standalone.answers(f"{url}/versions") == 200, seconds=30)
        yield url
    finally:
        process.terminate()
        process.wait(20)
