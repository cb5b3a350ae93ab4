"""Cinder's own image module, `cinder.image.glance`, in the environment that has it: `python cinder_process.py CONFIGURATION`."""

import sys
from collections.abc import Mapping
from typing import Any

import answering
import cinder.context
from cinder import objects
from cinder.common import config
from cinder.image import image_utils
from oslo_config import cfg
from oslo_log import log

GLANCE = image_utils.glance
"""Each of the two modules imports the other; only `image_utils` can be first."""


def context_of(caller: Mapping[str, Any]) -> cinder.context.RequestContext:
    """Make what Cinder's API makes of a request: the user's token, and the catalog that came with it."""
    return cinder.context.RequestContext(
        user_id=caller["user"],
        project_id=caller["project"],
        auth_token=caller["token"],
        service_catalog=caller["catalog"],
        is_admin=False,
    )


if __name__ == "__main__":
    objects.register_all()
    log.register_options(config.CONF)
    cfg.CONF(["--config-file", sys.argv[1]], project="cinder")
    answering.answer_all(GLANCE.GlanceImageService(), context_of)
