"""Cinder's own notifications of volumes: `python cinder_notifying.py CONFIGURATION`, with an empty database of its own.

Each line of standard input is a JSON object: the ids of a volume, its project and its image, and the action that has ended.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from cinder import context, objects, rpc
from cinder.common import config  # noqa: F401 -- registers options
from cinder.db import api, models
from cinder.volume import volume_utils
from oslo_config import cfg

NOW = datetime(2026, 11, 29, tzinfo=UTC)
FIELDS = {
    "host": "volumes", "user_id": "user", "availability_zone": "nova", "volume_type_id": None, "display_name": "volume",
    "launched_at": NOW, "created_at": NOW, "status": "available", "snapshot_id": None, "size": 1, "replication_status": None,
    "replication_extended_status": None, "replication_driver_data": None, "metadata": {},
}  # fmt: skip


def notify(asked: Mapping[str, str]) -> None:
    """Send what the volume service sends at the end of an action."""
    admin = context.get_admin_context()
    volume = objects.Volume(admin, id=asked["volume"], project_id=asked["project"], **FIELDS)
    if asked["action"] == "create":
        api.volume_create(admin, {"id": asked["volume"], "project_id": asked["project"], "size": 1, "volume_type_id": "type"})
        if asked["image"]:
            api.volume_glance_metadata_create(admin, asked["volume"], "image_id", asked["image"])
            api.volume_glance_metadata_create(admin, asked["volume"], "image_name", "golden")
    volume_utils.notify_about_volume_usage(admin, volume, f"{asked['action']}.end", host="volumes")


if __name__ == "__main__":
    objects.register_all()
    rpc.set_defaults(control_exchange="cinder")
    cfg.CONF(["--config-file", sys.argv[1]], project="cinder")
    models.BASE.metadata.create_all(api.get_engine())
    rpc.init(cfg.CONF)
    for line in sys.stdin:
        notify(json.loads(line))
        print("sent", flush=True)
