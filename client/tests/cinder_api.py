"""Cinder's own API on SQLite, in the environment that has Cinder: `python cinder_api.py FOLDER PORT CLOUDS_FILE`.

Each line of standard input is a JSON object: the ids of a project and an image. A volume of this image is created in the database,
as if Cinder had built it, and its id is printed.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from cinder import context, objects
from cinder.db import api
from cinder.wsgi import wsgi

import serving

CINDER = """
[DEFAULT]
transport_url = fake:/
state_path = {folder}
log_file = {folder}/log
auth_strategy = keystone
api_paste_config = {prefix}/etc/cinder/api-paste.ini
osapi_max_limit = 2
[database]
connection = sqlite:///{folder}/cinder.db
[coordination]
backend_url = file://{folder}/locks
[keystone_authtoken]
{auth}
"""
VOLUME = {"user_id": "user", "display_name": "root", "size": 1, "status": "available", "attach_status": "detached",
          "bootable": True, "availability_zone": "nova", "host": "block@driver#pool"}  # fmt: skip


def create_volume(asked: dict[str, Any]) -> str:
    """Create a volume of the type that Cinder makes of itself."""
    admin = context.get_admin_context()
    kind = objects.VolumeType.get_by_name_or_id(admin, "__DEFAULT__").id
    volume = objects.Volume(admin, project_id=asked["project"], volume_type_id=kind, **VOLUME)
    volume.create()
    if asked["image"]:
        metadata = {"image_id": asked["image"], "image_name": "golden", "disk_format": "raw"}
        api.volume_glance_metadata_bulk_create(admin, volume.id, metadata)
    return str(volume.id)


def main() -> None:
    """Serve until the standard input ends."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    file = folder / "cinder.conf"
    auth = serving.configure_sign_in(Path(sys.argv[3]))
    file.write_text(CINDER.format(folder=folder, prefix=sys.prefix, auth=auth))
    manage = [str(Path(sys.executable).with_name("cinder-manage")), "--config-file", str(file), "db", "sync"]
    subprocess.run(manage, check=True, stdout=sys.stderr)
    sys.argv[1:] = ["--config-file", str(file)]
    serving.serve(port, wsgi.initialize_application(), create_volume)


if __name__ == "__main__":
    main()
