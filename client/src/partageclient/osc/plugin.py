"""What `openstack` reads of a plugin: it loads the commands of the group openstack.partage.v1 (see pyproject.toml)."""

import argparse
from typing import Any

from partageclient.connections import Cloud

API_NAME = "partage"
API_VERSION_OPTION = "os_partage_api_version"
API_VERSIONS = {"1": "partageclient.osc.plugin"}
DEFAULT_API_VERSION = "1"


def make_client(instance: Any) -> Cloud:
    """Make what commands read as `client_manager.partage`: the cloud that the user named."""
    return Cloud(instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the global options of this plugin: none but the version, which `openstack` expects every plugin to have."""
    parser.add_argument(
        "--os-partage-api-version", metavar="<partage-api-version>", default=DEFAULT_API_VERSION, help=argparse.SUPPRESS
    )
    return parser
