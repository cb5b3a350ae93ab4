"""Nova's own API on SQLite, in the environment that has Nova: `python nova_api.py FOLDER PORT CLOUDS_FILE`.

Each line of standard input is a JSON object: the ids of a project and an image. A server of this image is created in the database,
as if Nova had built it, and its id is printed. Neutron, which Nova asks for security groups, is a double without any.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nova import context, objects
from nova.api.openstack import wsgi_app
from nova.network import model

import serving

NOVA = """
[DEFAULT]
transport_url = fake:/
state_path = {folder}
log_file = {folder}/log
compute_driver = fake.FakeDriver
max_limit = 2
[api]
max_limit = 2
[api_database]
connection = sqlite:///{folder}/api.db
[database]
connection = sqlite:///{folder}/cell.db
[keystone_authtoken]
{auth}
[neutron]
endpoint_override = http://127.0.0.1:{port}/neutron
auth_type = none
[oslo_policy]
enforce_scope = true
"""
FLAVOR = {
    "id": 1, "name": "small", "flavorid": "1", "memory_mb": 512, "vcpus": 1, "root_gb": 1, "ephemeral_gb": 0, "swap": 0,
    "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": False, "is_public": True, "extra_specs": {}, "description": None,
}  # fmt: skip
SERVER = {
    "user_id": "user", "display_name": "web", "vm_state": "active", "power_state": 1, "system_metadata": {}, "metadata": {},
    "memory_mb": 512, "vcpus": 1, "root_gb": 1, "ephemeral_gb": 0, "availability_zone": "nova", "launched_on": "compute",
}  # fmt: skip


def prepare(folder: Path, port: int, auth: str) -> None:
    """Write the configuration, and create the databases."""
    (folder / "nova.conf").write_text(NOVA.format(folder=folder, port=port, auth=auth))
    manage = [str(Path(sys.executable).with_name("nova-manage")), "--config-file", str(folder / "nova.conf")]
    cells = ("cell_v2", "map_cell0", "--database_connection", f"sqlite:///{folder}/cell0.db"), ("db", "sync"), (
        "cell_v2", "create_cell", "--name", "cell1", "--verbose")  # fmt: skip
    for words in (("api_db", "sync"), *cells):
        subprocess.run([*manage, *words], check=True, stdout=sys.stderr)


def create_server(asked: dict[str, Any]) -> str:
    """Create a server in the first cell."""
    admin = context.get_admin_context()
    [cell] = [each for each in objects.CellMappingList.get_all(admin) if not each.is_cell0()]
    caller = context.RequestContext("user", asked["project"], is_admin=True)
    with context.target_cell(caller, cell) as there:
        flavor, image = objects.Flavor(**FLAVOR), asked["image"] or ""
        server = objects.Instance(there, project_id=asked["project"], image_ref=image, flavor=flavor, **SERVER)
        server.info_cache = objects.InstanceInfoCache(network_info=model.NetworkInfo([]))
        server.create()
    mapping = objects.InstanceMapping(
        caller, instance_uuid=server.uuid, project_id=asked["project"], cell_mapping=cell, queued_for_delete=False, user_id="user"
    )
    mapping.create()
    return str(server.uuid)


def main() -> None:
    """Serve until the standard input ends."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    prepare(folder, port, serving.configure_sign_in(Path(sys.argv[3])))
    os.environ["OS_NOVA_CONFIG_DIR"] = str(folder)
    os.environ["OS_NOVA_CONFIG_FILES"] = f"{sys.prefix}/etc/nova/api-paste.ini;nova.conf"
    sys.argv[1:] = []
    application = wsgi_app.init_application("osapi_compute", "nova-api-os-compute")

    def answer(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/neutron/"):
            noun = environ["PATH_INFO"].rsplit("/", 1)[1].replace("-", "_").removesuffix(".json")
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps({noun: []}).encode()]
        return application(environ, start_response)

    serving.serve(port, answer, create_server)


if __name__ == "__main__":
    main()
