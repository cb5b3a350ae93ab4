"""Nova's own notification objects, sent by Nova's notifiers: `python nova_notifying.py CONFIGURATION`.

Each line of standard input is a JSON object: the ids of a server, its project and its image, and the action that has ended.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import nova.conf
import nova.context
from nova import config, objects, rpc
from nova.compute import utils
from nova.network import model

NOW = datetime(2026, 11, 29, tzinfo=UTC)
FLAVOR = {
    "id": 1, "name": "small", "flavorid": "1", "memory_mb": 512, "vcpus": 1, "root_gb": 1, "ephemeral_gb": 0, "swap": 0,
    "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": False, "is_public": True, "extra_specs": {}, "projects": [],
    "description": None,
}  # fmt: skip
FIELDS = {
    "id": 1, "user_id": "user", "reservation_id": "r-1", "display_name": "server", "display_description": "", "hostname": "server",
    "host": "compute", "node": "compute", "os_type": None, "architecture": None, "availability_zone": "nova", "key_name": None,
    "kernel_id": "", "ramdisk_id": "", "created_at": NOW, "launched_at": NOW, "terminated_at": None, "deleted_at": None,
    "updated_at": NOW, "vm_state": "active", "power_state": 1, "task_state": None, "progress": 0, "metadata": {}, "locked": False,
    "locked_by": None, "auto_disk_config": False, "instance_type_id": 1, "cell_name": None, "access_ip_v4": None,
    "access_ip_v6": None, "trusted_certs": None,
}  # fmt: skip


def build_server(context: Any, asked: Mapping[str, str]) -> Any:
    """Build a server as the compute service has it."""
    return objects.Instance(
        context,
        uuid=asked["server"],
        project_id=asked["project"],
        image_ref=asked["image"],
        flavor=objects.Flavor(**FLAVOR),
        keypairs=objects.KeyPairList(objects=[]),
        tags=objects.TagList(objects=[]),
        system_metadata={"image_base_image_ref": asked["image"]},
        info_cache=objects.InstanceInfoCache(network_info=model.NetworkInfo([])),
        **FIELDS,
    )


def notify(asked: Mapping[str, str]) -> None:
    """Send what the compute service sends at the end of an action, in the formats of the configuration."""
    context = nova.context.RequestContext(user_id="user", project_id=asked["project"])
    server, action = build_server(context, asked), asked["action"]
    if action == "create":
        utils.notify_about_instance_create(context, server, "compute", phase="end", bdms=objects.BlockDeviceMappingList(objects=[]))
    elif action == "rebuild":
        utils.notify_about_instance_rebuild(context, server, "compute", phase="end")
    else:
        utils.notify_about_instance_action(context, server, "compute", action=action, phase="end")
    utils.notify_about_instance_usage(rpc.get_notifier("compute", "compute"), context, server, f"{action}.end")


if __name__ == "__main__":
    objects.register_all()
    config.parse_args(["nova", "--config-file", sys.argv[1]], configure_db=False, init_rpc=False)
    rpc.init(nova.conf.CONF)
    for line in sys.stdin:
        notify(json.loads(line))
        print("sent", flush=True)
