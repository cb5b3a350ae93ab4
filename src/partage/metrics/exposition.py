"""Writes all measurements in Prometheus' text format: those of processes, and what is observed at the moment of a scrape.

The only module that knows prometheus_client.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from partage.measures import ALL, Counter, Durations, Level, Measure
from partage.metrics.sheets import Series, Sheets

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Source: Prometheus, "Exposition formats"."""

_PREFIX = "partage_"


@dataclass(frozen=True, slots=True)
class Observed:
    """A measure that is read when it is asked for, and its values by the values of its labels."""

    measure: Measure
    values: tuple[tuple[tuple[str, ...], float], ...]


def write_page(sheets: Sheets, observe: Callable[[], Iterable[Observed]], *, is_alive: Callable[[str], bool | None]) -> bytes:
    """Write the page of one scrape. `is_alive` says whether the process of that name still runs: levels of others do not count."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(sheets, observe, is_alive))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, sheets: Sheets, observe: Callable[[], Iterable[Observed]], is_alive: Callable[[str], bool | None]) -> None:
        self._sheets = sheets
        self._observe = observe
        self._is_alive = is_alive

    def collect(self) -> Iterator[Metric]:
        """Yield all measures; the library calls this."""
        total = _sum_up(self._sheets, self._is_alive)
        for measure in ALL:
            series = {labels: values for (name, labels), values in total.items() if name == measure.name}
            yield _make_family(measure, series)
        for observed in self._observe():
            yield _make_family(observed.measure, {labels: (value,) for labels, value in observed.values})


def _sum_up(sheets: Sheets, is_alive: Callable[[str], bool | None]) -> dict[Series, list[float]]:
    levels = {each.name for each in ALL if isinstance(each, Level)}
    total: dict[Series, list[float]] = {}
    for worker, found in sheets.read():
        counts = is_alive(worker) is True
        for series, values in found.items():
            if series[0] in levels and not counts:
                continue
            so_far = total.setdefault(series, [0.0] * len(values))
            total[series] = [one + other for one, other in zip(so_far, values, strict=True)]
    return total


def _make_family(measure: Measure, series: Mapping[tuple[str, ...], Sequence[float]]) -> Metric:
    name = f"{_PREFIX}{measure.name}"
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    if isinstance(measure, Durations):
        family = HistogramMetricFamily(name, measure.meaning, labels=measure.labels)
        for labels, values in sorted(series.items()):
            family.add_metric(labels, _accumulate(measure, values), sum_value=values[-1])
        return family
    kind = CounterMetricFamily if isinstance(measure, Counter) else GaugeMetricFamily
    family = kind(name, measure.meaning, labels=measure.labels)
    for labels, values in sorted(series.items()):
        family.add_metric(labels, values[0])
    return family


def _accumulate(measure: Durations, values: Sequence[float]) -> list[tuple[str, float]]:
    """Return the upper bound of each bucket, and how many values are at most that. Source: Prometheus, "Histograms"."""
    bounds = [*(str(bound) for bound in measure.bounds), "+Inf"]
    so_far, found = 0.0, []
    for bound, count in zip(bounds, values[:-1], strict=True):
        so_far += count
        found.append((bound, so_far))
    return found
