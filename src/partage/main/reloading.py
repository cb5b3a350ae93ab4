"""Reload the settings while the service runs, for the workers that replace the present ones."""

import logging
from collections.abc import Callable

from partage.main import logs
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings

_LOG = logging.getLogger(__name__)


def reload(settings: Settings, load: Callable[[], Settings]) -> Settings:
    """Read the settings and the files that they name again, and check that workers can start with them.

    Raises:
        Problem: a setting or file is wrong.
    """
    reloaded = load()
    if (reloaded.host, reloaded.port) != (settings.host, settings.port):
        _LOG.warning("host and port cannot be reloaded; restart the service to change them")
        reloaded = reloaded.model_copy(update={"host": settings.host, "port": settings.port})
    readiness.prepare_directories(reloaded)
    with compose.open_service(reloaded) as service:
        readiness.check_database(service, upgrade=False)
        reloaded = readiness.fit_connections(reloaded, service)
    logs.configure(reloaded.log)
    return reloaded
