"""A real nginx and a real HAProxy before one or more services, with the examples in deploy/; see docs/proxies.md."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from partage.main.process import listening
from tests import standalone

SBIN = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

DEPLOY = Path(__file__).parents[1] / "deploy"

WEBSOCKET = """proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;"""
PLAIN = 'proxy_set_header Connection "";'

_NGINX = """
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
    {example}
}}
"""
"""What a distribution's nginx.conf is around the example."""


@dataclass(frozen=True)
class TLS:
    """A certificate and its key as PEM files, and both in one file."""

    certificate: Path
    key: Path
    both: Path


@contextmanager
def nginx(
    folder: Path,
    ports: Sequence[int],
    *,
    lines: str = PLAIN,
    request_buffering: bool = False,
    kept: int = 32,
    tls: TLS | None = None,
) -> Iterator[str]:
    """Run nginx with the example before services on these ports of this machine; give its URL."""
    port = listening.find_free_port()
    example = _replace(
        (DEPLOY / "nginx" / "partage.conf").read_text(),
        {
            r"(    server )192.0.2.1:9292( .*\n)    server .*\n": "".join(f"\\g<1>127.0.0.1:{each}\\g<2>" for each in ports),
            r"keepalive 32;": f"keepalive {kept};",
            re.escape(PLAIN): lines,
            r"proxy_request_buffering off": f"proxy_request_buffering {'on' if request_buffering else 'off'}",
            r"listen 9292 ssl;": f"listen 127.0.0.1:{port}{' ssl' if tls else ''};",
            r"/etc/ssl/certs/images.example.pem": str(tls.certificate) if tls else "",
            r"/etc/ssl/private/images.example.key": str(tls.key) if tls else "",
        },
    )
    if tls is None:
        example = _replace(example, {r"ssl_certificate .*\n": "\n", r"ssl_certificate_key .*\n": "\n"})
    text = _NGINX.format(folder=folder, example=example)
    with _running(folder, "nginx", text, ["-p", str(folder), "-c"], port, tls=tls) as url:
        yield url


@contextmanager
def haproxy(folder: Path, ports: Sequence[int], *, reuse: str = "safe", tls: TLS | None = None) -> Iterator[str]:
    """Run HAProxy with the example before services on these ports of this machine; give its URL.

    It passes `Upgrade` on without being asked.
    """
    port = listening.find_free_port()
    text = _replace(
        (DEPLOY / "haproxy" / "haproxy.cfg").read_text(),
        {
            r"    server one .*\n    server two .*\n": "".join(f"    server at{each} 127.0.0.1:{each}\n" for each in ports),
            r"bind :9292 ssl crt .*": f"bind 127.0.0.1:{port} ssl crt {tls.both}" if tls else f"bind 127.0.0.1:{port}",
            r"http-reuse safe": f"http-reuse {reuse}",
        },
    )
    with _running(folder, "haproxy", text, ["-db", "-f"], port, tls=tls) as url:
        yield url


def _replace(text: str, replacements: Mapping[str, str]) -> str:
    """Fit an example to this machine; a pattern that the example does not have exactly once is an error."""
    for pattern, replacement in replacements.items():
        text, count = re.subn(pattern, replacement if "\\g<" in replacement else replacement.replace("\\", "\\\\"), text)
        if count != 1:
            raise RuntimeError(f"the example has {pattern!r} {count} times")
    return text


@contextmanager
def _running(folder: Path, name: str, configuration: str, arguments: list[str], port: int, *, tls: TLS | None) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.conf"
    file.write_text(configuration)
    program = shutil.which(name, path=SBIN)
    if program is None:
        raise RuntimeError(f"{name} is not installed; make installs it before it runs the tests")
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen([program, *arguments, str(file)], stdout=log, stderr=subprocess.STDOUT)
    url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        standalone.wait_for(lambda: process.poll() is not None or _accepts(port), seconds=30)
        if tls is None:
            standalone.wait_for(lambda: standalone.answers(f"{url}/versions") == 200, seconds=30)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
