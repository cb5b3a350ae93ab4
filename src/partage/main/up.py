"""`partage up`: everything on one machine: Keystone in a child process, the image service, SQLite and files in one directory."""

import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from partage.main import definition_files, import_worker, logs, serve
from partage.main.composition import compose, readiness
from partage.main.configuration import config
from partage.main.configuration.config import Settings
from partage.main.process import listening, liveness
from partage.main.process.supervisor import block_signals
from partage.main.standalone import folder, keystone_child
from partage.main.standalone.folder import REGION, SERVICE, Standalone
from partage.model.ids import StoreID
from partage.operations import observation
from partage.stores.identity import Identity


def default_directory() -> Path:
    """Return the default data directory.

    Source: XDG Base Directory Specification.
    """
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "partage"


def up(directory: Path, overrides: Mapping[str, Any]) -> int:
    """Run everything on `directory` until a stop signal, and return the exit status. The first start creates the directory.

    Raises:
        Problem: it cannot start.
    """
    os.umask(0o077)  # other users of the machine must not read secrets and images
    keystone_child.require_installed()
    directory = directory.absolute()
    readiness.prepare_directory(directory)
    with folder.lock_directory(directory):
        kept = folder.load(directory)

        def load() -> Settings:
            return _add_token_key(config.load({**overrides, "data": directory, "identity": _build_identity_settings(kept)}), kept)

        settings = load()
        logs.configure(settings.log)
        with (
            listening.listen(settings.host, settings.port) as listener,
            keystone_child.run_keystone(directory, serve.url(settings)) as child,
        ):
            identities = _prepare(settings)
            child.wait_until_ready()
            with block_signals():
                _print_welcome(settings, kept)
                jobs = [partial(import_worker.run_imports, identities=identities)]
                return serve.run(settings, listener, identities, load=load, dependencies=[child], jobs=jobs)


def _build_identity_settings(kept: Standalone) -> dict[str, str]:
    return {
        "url": kept.identity_url,
        "username": SERVICE.user,
        "password": kept.passwords[SERVICE.user],
        "project_name": SERVICE.project,
        "region": REGION,
    }


def _add_token_key(settings: Settings, kept: Standalone) -> Settings:
    """Add the generated key for glance-download, unless keys are configured."""
    if settings.imports.token_keys:
        return settings
    imports = settings.imports.model_copy(update={"token_keys": (SecretStr(kept.token_key),)})
    return settings.model_copy(update={"imports": imports})


def _prepare(settings: Settings) -> Mapping[StoreID, Identity]:
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        is_new = not observation.find_schema(service)
        readiness.check_database(service, upgrade=True)
        if is_new:  # later, those that an administrator has deleted stay away
            definition_files.load(service, definition_files.OWN)
        return readiness.check_stores(service)


def _print_welcome(settings: Settings, kept: Standalone) -> None:
    clouds = folder.write_clouds(kept)
    client = "openstack" if shutil.which("openstack") else Path(sys.executable).with_name("openstack")
    logs.print_greeting(
        f"""\
Partage is up after {liveness.age_seconds():.1f} s.
  Image service   {serve.url(settings)}
  Keystone        {kept.identity_url}/v3
  Data            {kept.directory}
  clouds.yaml     {clouds}
                  (admin, project-a, project-b, project-c, reader-a)

Try, in another terminal; the first line makes a disk, if you have none:
  truncate --size 64M disk.raw && mkfs.ext4 -q -F disk.raw
  export OS_CLIENT_CONFIG_FILE={clouds}
  {client} --os-cloud project-a image create \\
      --disk-format raw --container-format bare --file disk.raw my-image
  {client} --os-cloud project-a image list

Ctrl-C ends everything. The data stays for the next start.""",
        image_url=serve.url(settings),
        identity_url=f"{kept.identity_url}/v3",
        data=str(kept.directory),
        clouds_file=str(clouds),
    )
