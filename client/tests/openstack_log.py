"""The log of `openstack` when several commands run in one process."""

import logging


def forget_handlers() -> None:
    """Remove the handlers of commands that ran before: each command adds one, for the standard error stream of its time."""
    root = logging.getLogger()
    for each in [handler for handler in root.handlers if type(handler) is logging.StreamHandler]:
        root.removeHandler(each)
