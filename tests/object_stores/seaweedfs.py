"""A SeaweedFS of PyPI's, started for one test run on ports and in a folder of its own: an S3 server in one program."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import orjson

from partage.main.process.listening import find_free_port
from tests.object_stores import servers
from tests.object_stores.servers import ACCESS_KEY, SECRET_KEY, RunningServer


@contextmanager
def server() -> Iterator[RunningServer]:
    """Start a server without buckets; kill it and remove its files at the end."""
    program = servers.find_program("weed")
    if program is None:
        raise RuntimeError(servers.MISSING)
    folder = Path(mkdtemp(prefix="partage-seaweedfs-"))
    try:
        yield from _run(program, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: Path, folder: Path) -> Iterator[RunningServer]:
    (folder / "s3.json").write_bytes(orjson.dumps(_ACCOUNTS))
    options = [f"-{name}.port{kind}" for name in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = {option: find_free_port() for option in options}
    command = [
        *(str(program), f"-logdir={folder}", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
        *(f"{option}={port}" for option, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false", "-master.telemetry=false"),
        *(f"-s3.config={folder}/s3.json", f"-s3.localSocket={folder}/s3.sock", f"-filer.localSocket={folder}/filer.sock"),
        *("-volume.max=0", "-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false"),
    ]
    running = RunningServer(f"http://127.0.0.1:{ports['-s3.port']}", folder, {"server": command})
    try:
        running.start()
        yield running
    finally:
        running.stop()
        for port in ports.values():  # the program makes sockets there, whatever its options
            for socket in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                socket.unlink()


_ACCOUNTS = {
    "identities": [
        {
            "name": "partage",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}
