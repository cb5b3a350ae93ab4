"""`partage serve`: the image service alone, against somebody's Keystone and database."""

import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn

from partage.http.app import Application
from partage.http.protocol import BoundedProtocol
from partage.main import caching, compose, housekeeping, listening, logs, memory, priority, readiness
from partage.main.config import Settings
from partage.main.crew import Companion, Crew

_LOG = logging.getLogger(__name__)

_IDLE_SECONDS = 65
"""How long an idle connection is kept: longer than the 60 s that proxies keep theirs, so that it is they who close it."""


def serve(settings: Settings) -> int:
    """Check everything, start the workers, and return the exit status when a stop signal has ended them.

    Raises:
        Problem: something stands in the way of every worker.
    """
    listener = listening.listen(settings.host, settings.port)
    readiness.prepare_directories(settings)
    with compose.opened(settings) as service:
        readiness.check_database(service, upgrade=False)
        readiness.check_identity(compose.identity(settings, service.authority))
    print(f"Partage answers at {url(settings)}; Ctrl-C ends it", flush=True)
    return run(settings, listener)


def url(settings: Settings) -> str:
    """Return the URL that clients of this machine use."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not listened on
    return settings.public_endpoint or f"http://{host}:{settings.port}"


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    companions: Sequence[Companion] = (),
    duties: Sequence[Callable[[], None]] = (),
) -> int:
    """Answer requests on `listener` with as many workers as the settings say; return the exit status when all have ended.

    Each of the further `duties` is done by a process of its own, and so is looking after the cache, if there is one.
    """
    logs.configure(settings.log)
    for name in compose.unused_rules(settings):
        _LOG.warning(
            "the policy file %s has the rule %s, which nothing asks for; look at how it is written", settings.policy_file, name
        )
    if settings.cache.directory:
        readiness.prepare_cache(settings)
        duties = [*duties, lambda: caching.look_after(settings)]
    crew = Crew(
        duties=[*[lambda: _work(settings, listener)] * settings.workers, *duties],
        grace_seconds=settings.grace_seconds,
        companions=companions,
    )
    return crew.run()


def _work(settings: Settings, listener: socket.socket) -> None:
    memory.keep_buffers()
    priority.hand_over_quickly()
    with compose.opened(settings, with_cache=True) as service:
        housekeeping.start(service)
        server = uvicorn.Server(_uvicorn(settings, compose.compose(settings, service)))
        server.run(sockets=[listener])


def _uvicorn(settings: Settings, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=type("Protocol", (BoundedProtocol,), {"stall_seconds": settings.stall_seconds}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody is believed about who a client is; public_endpoint says what a proxy would
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )
