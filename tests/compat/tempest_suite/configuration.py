"""tempest.conf: every feature is said to be there, as in the run against Glance, so that nothing is skipped that Glance was asked.

Source: Tempest Configuration Guide; the sample that `tempest init` writes.
"""

from pathlib import Path

from tests.compat.whole_cloud import Place


def text(place: Place, workspace: Path, *, format_checks: bool) -> str:
    """Return the whole file. Nova, Cinder and the others are not there; `format_checks`: bytes of no format are refused."""
    return f"""\
[DEFAULT]
log_file = tempest.log
resource_name_prefix = tempest
[oslo_concurrency]
lock_path = {workspace}/lock
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = {place.service.keystone.admin_password}
admin_project_name = admin
admin_domain_name = Default
create_isolated_networks = false
[identity]
uri_v3 = {place.service.identity_url}/v3
auth_version = v3
region = RegionOne
v3_endpoint_type = public
default_domain_id = default
[identity-feature-enabled]
api_v2 = false
api_v3 = true
[service_available]
glance = true
nova = false
cinder = false
neutron = false
swift = false
horizon = false
[image]
catalog_type = image
region = RegionOne
endpoint_type = public
http_image = {place.web_url}/small.tar.gz
http_qcow2_image = {place.web_url}/small.qcow2
image_caching_enabled = true
build_timeout = 60
hashing_algorithm = sha512
disk_formats = raw,qcow2,ami,ari,aki,vhd,vmdk,vdi,iso,vhdx
alternate_image_endpoint = image_remote
[image-feature-enabled]
api_v2 = true
import_image = true
os_glance_reserved = true
manage_locations = true
http_store_enabled = true
store_weight_enabled = true
do_secure_hash = true
image_format_enforcement = {str(format_checks).lower()}
[enforce_scope]
glance = true
keystone = true
[volume-feature-enabled]
enable_volume_image_dep_tests = false
[validation]
run_validation = false
"""
