"""Build what a process reports its measurements to. opentelemetry is optional, and takes a third of a second to import."""

import importlib

import partage
from partage import problems
from partage.main.configuration.monitoring_sections import TracingSettings
from partage.measures import Meter, Unmetered
from partage.metrics.sheets import Sheets


def build_meter(settings: TracingSettings, worker: str, sheets: Sheets | None, *, traced: bool) -> Meter:
    """Build the meter of the process `worker`, which writes to one of the `sheets`, if there are any.

    Only where `traced`, traces are sent; but everywhere the setting must be possible, so that no child of a program fails later.

    Raises:
        Unavailable: opentelemetry is not installed.
    """
    meter: Meter = (sheets.claim(worker) if sheets is not None else None) or Unmetered()
    if not settings.endpoint.get_secret_value():
        return meter
    try:
        spans = importlib.import_module("partage.tracing.spans")
    except ImportError as error:
        raise problems.Unavailable(
            "tracing.endpoint needs opentelemetry; install partage[tracing] or leave the setting empty"
        ) from error
    if not traced:
        return meter
    started: Meter = spans.start(
        endpoint=settings.endpoint.get_secret_value(),
        service_name=settings.service_name,
        version=partage.__version__,
        worker=worker,
        sample_ratio=settings.sample_ratio,
        behind=meter,
    )
    return started
