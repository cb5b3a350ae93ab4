"""Import what speaks to a message bus: oslo.messaging is optional, and takes a second to import."""

import importlib
import warnings
from types import ModuleType

from partage import problems


def import_bus_module(name: str, *, setting: str) -> ModuleType:
    """Import a module of `partage.notifications`; `setting` names the bus, and is named in the error.

    Raises:
        Unavailable: oslo.messaging is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # libraries warn about each other at every start
            return importlib.import_module(f"partage.notifications.{name}")
    except ImportError as error:
        raise problems.Unavailable(
            f"{setting} needs oslo.messaging; install partage[notifications] or leave the setting empty"
        ) from error
