"""Read the settings again while the service runs, for the workers that shall take over."""

import logging
from collections.abc import Callable

from partage.main import logs
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings

_LOG = logging.getLogger(__name__)


def reload(settings: Settings, load: Callable[[], Settings]) -> Settings:
    """Read the settings and the files that they name again, and make sure that workers can start with them.

    Raises:
        Problem: they cannot.
    """
    again = load()
    if (again.host, again.port) != (settings.host, settings.port):
        _LOG.warning("host and port stay as they are until the next start")
        again = again.model_copy(update={"host": settings.host, "port": settings.port})
    readiness.prepare_directories(again)
    with compose.open_service(again) as service:
        readiness.check_database(service, upgrade=False)
        again = readiness.fit_connections(again, service)
    logs.configure(again.log)
    return again
