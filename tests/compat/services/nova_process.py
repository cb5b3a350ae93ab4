"""Nova's own image module, `nova.image.glance.API`, in the environment that has Nova: `python nova_process.py CONFIGURATION`."""

import sys
from collections.abc import Mapping
from typing import Any

import answering
import nova.conf
import nova.context
import nova.image.glance
from nova import config


def context_of(caller: Mapping[str, Any]) -> nova.context.RequestContext:
    """Make what Nova's API makes of a request: the user's token, and the catalog that came with it."""
    return nova.context.RequestContext(
        user_id=caller["user"],
        project_id=caller["project"],
        auth_token=caller["token"],
        service_catalog=caller["catalog"],
        is_admin=False,
    )


if __name__ == "__main__":
    config.parse_args(["nova", "--config-file", sys.argv[1]], configure_db=False, init_rpc=False)
    answering.answer_all(nova.image.glance.API(), context_of)
