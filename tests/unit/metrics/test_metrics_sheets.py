"""Measurements of several processes in shared memory: sums of counters, levels of the living, and what a full sheet does."""

import os
import threading
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from partage.measures import ALL, POOL_BUSY, REQUEST_SECONDS, REQUESTS, Counter, Durations, Level
from partage.metrics import exposition
from partage.metrics.exposition import Observed
from partage.metrics.sheets import SHEET_BYTES, Sheet, Sheets

LABELS = ("GET", "/v2/images", "200")


def run_in_child(act: Callable[[], None]) -> None:
    """Run a function in a process of its own, to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def claim_sheet(sheets: Sheets, worker: str) -> Sheet:
    found = sheets.claim(worker)
    assert found is not None
    return found


def samples_of(sheets: Sheets, alive: tuple[str, ...], *observed: Observed) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Parse the page as Prometheus does; give each sample by its name and labels."""
    page = exposition.write_page(sheets, lambda: observed, is_alive=lambda worker: worker in alive).decode()
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(page)
        for each in family.samples
    }


REQUEST_LABELS = (("method", "GET"), ("route", "/v2/images"), ("status", "200"))


def test_counters_of_all_processes_are_summed_up_also_of_ended_ones() -> None:
    sheets = Sheets()
    run_in_child(lambda: claim_sheet(sheets, "first").add(REQUESTS, *LABELS, by=3))
    claim_sheet(sheets, "second").add(REQUESTS, *LABELS, by=4)
    assert samples_of(sheets, ("second",))["partage_http_requests_total", REQUEST_LABELS] == 7


def test_sheet_of_an_ended_process_is_continued_by_the_next() -> None:
    sheets = Sheets()
    for number in range(5):
        run_in_child(lambda: claim_sheet(sheets, f"worker {number}").add(REQUESTS, *LABELS))  # noqa: B023 - runs at once
    found = list(sheets.read())
    assert [worker for worker, _ in found] == ["worker 4"]
    assert found[0][1]["http_requests", LABELS] == (5.0,)


def test_living_processes_have_sheets_of_their_own() -> None:
    sheets = Sheets()
    claim_sheet(sheets, "here").add(REQUESTS, *LABELS)
    run_in_child(lambda: claim_sheet(sheets, "there").add(REQUESTS, *LABELS))
    assert [worker for worker, _ in sheets.read()] == ["here", "there"]


def test_level_of_a_dead_process_does_not_count() -> None:
    sheets = Sheets()
    claim_sheet(sheets, "alive").change(POOL_BUSY, "upload", by=2)
    run_in_child(lambda: claim_sheet(sheets, "killed").change(POOL_BUSY, "upload", by=5))
    assert samples_of(sheets, ("alive",))["partage_pool_busy", (("pool", "upload"),)] == 2


def test_level_starts_at_zero_in_the_next_process() -> None:
    sheets = Sheets()
    run_in_child(lambda: claim_sheet(sheets, "killed").change(POOL_BUSY, "upload", by=5))
    claim_sheet(sheets, "next").change(POOL_BUSY, "upload", by=1)
    assert samples_of(sheets, ("next",))["partage_pool_busy", (("pool", "upload"),)] == 1


def test_durations_are_a_cumulative_histogram() -> None:
    sheets = Sheets()
    sheet = claim_sheet(sheets, "one")
    for seconds in (0.0005, 0.001, 0.0011, 7.0, 1000.0):
        sheet.time(REQUEST_SECONDS, seconds, "GET", "/v2/images")
    found = samples_of(sheets, ("one",))

    def bucket(bound: str) -> float:
        return found[
            "partage_http_request_seconds_bucket", tuple(sorted({"le": bound, "method": "GET", "route": "/v2/images"}.items()))
        ]

    assert [bucket(each) for each in ("0.001", "0.0025", "5.0", "10.0", "60.0", "+Inf")] == [2, 3, 3, 4, 4, 5]
    labels = (("method", "GET"), ("route", "/v2/images"))
    assert found["partage_http_request_seconds_count", labels] == 5
    assert found["partage_http_request_seconds_sum", labels] == pytest.approx(1007.0026)


def test_full_sheet_keeps_known_series_and_drops_new_ones() -> None:
    sheets = Sheets()
    sheet = claim_sheet(sheets, "one")
    sheet.add(REQUESTS, *LABELS)
    for number in range(SHEET_BYTES // 40):
        sheet.add(REQUESTS, "GET", f"route {number}", "200")
    sheet.add(REQUESTS, *LABELS)
    sheet.add(REQUESTS, "GET", "one more", "200")
    ((_worker, series),) = sheets.read()
    assert series["http_requests", LABELS] == (2.0,)
    assert ("http_requests", ("GET", "one more", "200")) not in series


def test_threads_lose_no_measurement() -> None:
    sheets = Sheets()
    sheet = claim_sheet(sheets, "one")
    start = threading.Barrier(4)

    def count() -> None:
        start.wait()
        for number in range(2000):
            sheet.add(REQUESTS, "GET", f"/{number % 50}", "200")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    ((_worker, series),) = sheets.read()
    assert sum(values[0] for values in series.values()) == 8000


def test_every_measure_can_be_reported_and_is_shown() -> None:
    sheets = Sheets()
    sheet = claim_sheet(sheets, "one")
    for measure in ALL:
        labels = tuple(f"a {name}" for name in measure.labels)
        if isinstance(measure, Counter):
            sheet.add(measure, *labels)
        elif isinstance(measure, Level):
            sheet.change(measure, *labels, by=1)
        elif isinstance(measure, Durations):
            sheet.time(measure, 1.0, *labels)
    shown = {name for name, _labels in samples_of(sheets, ("one",))}
    for measure in ALL:
        suffix = {Counter: "_total", Level: "", Durations: "_count"}[type(measure)]
        assert f"partage_{measure.name}{suffix}" in shown


def test_observed_value_is_shown_with_its_labels() -> None:
    tasks = Level("tasks", "Import tasks", ("status",))
    found = samples_of(Sheets(), (), Observed(tasks, ((("pending",), 3.0),)))
    assert found["partage_tasks", (("status", "pending"),)] == 3
