"""Maintenance jobs run when they are due, one worker at a time, and whatever ends a run, the job goes on."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import ImageID
from partage.model.maintenance import MaintenanceJob, MaintenanceState, Outcome, Report
from partage.operations import images, maintenance
from partage.operations.leases import UNRENEWED_SECONDS, Interrupted, Lease
from partage.operations.maintenance import Maintainer, Plan, Run
from partage.operations.service import Service
from partage.operations.silence import LOOK_SECONDS, SILENCE_SECONDS, Listener
from partage.records import maintenance as rows
from partage.records import tasks
from partage.stores import layout
from partage.worker.maintenance import Pace, plan_expiry, plan_sweep, plan_verification, run_by_hand
from tests.operations.services import OWNER, Clock, image_with, make
from tests.services import change_service

HOUR = timedelta(hours=1)
JOB = MaintenanceJob.SWEEP


@dataclass
class Host:
    """A worker on a machine of its own, with its clocks, and what its job does."""

    service: Service
    clock: Clock
    act: Callable[[Service, Run], Report] = lambda _service, _run: {"runs": 1}
    runs: int = 0
    stops: bool = False
    monotonic_seconds: float = 0.0
    interval: timedelta = HOUR
    maintainer: Maintainer = field(init=False)

    def __post_init__(self) -> None:
        def run(service: Service, run: Run) -> Report:
            self.runs += 1
            return self.act(service, run)

        plan = Plan(job=JOB, interval=self.interval, first_after=timedelta(0), run=run)
        self.maintainer = Maintainer(self.service, plan, may_go_on=lambda: not self.stops, monotonic=lambda: self.monotonic_seconds)

    def look(self) -> int:
        """Look once; return how often the job has run here."""
        self.maintainer.run_if_due()
        return self.runs

    def passes(self, seconds: float) -> None:
        self.clock.passes(seconds=seconds)
        self.monotonic_seconds += seconds


def host(service: Service, name: str, *, ahead: timedelta = timedelta(0)) -> Host:
    clock = Clock()
    clock.now += ahead
    made = Host(service, clock)
    own = change_service(
        service,
        clock=clock,
        worker=name,
        worker_lives=lambda worker: True if worker == name else None,
        leases={},
        listener=Listener(monotonic=lambda: made.monotonic_seconds),
    )
    made.service = own
    made.__post_init__()
    return made


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


def state_of(service: Service, job: MaintenanceJob = JOB) -> MaintenanceState:
    return next(each for each in maintenance.list_states(service) if each.job is job)


def test_job_runs_once_in_each_interval_on_all_hosts_together(service: Service) -> None:
    hosts = [host(service, "a"), host(service, "b")]
    for _ in range(60):  # ten hours
        for each in hosts:
            each.look()
            each.passes(600)
    assert hosts[0].runs + hosts[1].runs == 10


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(minutes=-4), timedelta(days=3), timedelta(days=-3)])
def test_wrong_clock_neither_stops_a_job_nor_repeats_it_without_end(service: Service, ahead: timedelta) -> None:
    hosts = [host(service, "right"), host(service, "wrong", ahead=ahead)]
    for _ in range(60):
        for each in hosts:
            each.look()
            each.passes(600)
    assert 9 <= hosts[0].runs + hosts[1].runs <= 2 * 10 + 1
    hosts[1].clock.now -= ahead
    before = hosts[0].runs + hosts[1].runs
    for _ in range(12):
        for each in hosts:
            each.look()
            each.passes(600)
    assert 2 <= hosts[0].runs + hosts[1].runs - before <= 3


def test_job_that_another_worker_runs_is_left_to_it(service: Service) -> None:
    first, second = host(service, "a"), host(service, "b")
    seen = []
    first.act = lambda _service, _run: seen.append(second.look()) or {}  # type: ignore[func-returns-value]
    assert first.look() == 1
    assert seen == [0]


def test_failure_is_recorded_and_tried_again_after_a_back_off(service: Service) -> None:
    one = host(service, "a")

    def fail(_service: Service, _run: Run) -> Report:
        raise problems.StoreUnavailable("The store does not respond")

    one.act = fail
    with pytest.raises(problems.StoreUnavailable):
        one.look()
    state = state_of(service)
    assert (state.outcome, state.failures, state.message, state.succeeded_at) == (
        Outcome.FAILURE, 1, "The store does not respond", None,
    )  # fmt: skip
    one.passes(59)
    assert one.look() == 1
    one.passes(1)
    one.act = lambda _service, _run: {"packs": 2}
    assert one.look() == 2
    state = state_of(service)
    assert (state.outcome, state.failures, state.message, state.report) == (Outcome.SUCCESS, 0, "", {"packs": 2})


def test_stopped_process_leaves_the_job_to_another_at_once(service: Service) -> None:
    first, second = host(service, "a"), host(service, "b")

    def stop(_service: Service, run: Run) -> Report:
        first.stops = True
        run.lease.check()
        raise AssertionError

    first.act = stop
    first.look()
    assert state_of(service).outcome is Outcome.STOPPED
    assert second.look() == 1


def take_over(service: Service, *, silent: bool) -> tuple[Host, Host]:
    """Let a host die in the middle of its run; a second one looks, once a few seconds, until silence is long enough."""
    first, second = host(service, "a"), host(service, "b")

    class Died(BaseException):
        pass

    def die(_service: Service, _run: Run) -> Report:
        raise Died

    first.act = die
    with pytest.raises(Died):
        first.look()
    if not silent:
        second.service = change_service(second.service, worker_lives=lambda _worker: False)
        second.__post_init__()
    return first, second


def test_worker_that_died_on_this_machine_is_replaced_at_once(service: Service) -> None:
    _first, second = take_over(service, silent=False)
    assert second.look() == 1
    assert state_of(service).outcome is Outcome.SUCCESS


def test_worker_that_died_elsewhere_is_replaced_after_silence(service: Service) -> None:
    _first, second = take_over(service, silent=True)
    for _ in range(int(SILENCE_SECONDS / LOOK_SECONDS)):
        assert second.look() == 0
        second.passes(LOOK_SECONDS)
    assert second.look() == 1


def test_run_whose_worker_counted_as_dead_changes_nothing(service: Service) -> None:
    """It hung for a minute; the other one has run the job meanwhile, and its record stays."""
    first, second = host(service, "a"), host(service, "b")

    def hang(_service: Service, run: Run) -> Report:
        for _ in range(1 + int(SILENCE_SECONDS / LOOK_SECONDS)):
            second.look()
            second.passes(LOOK_SECONDS)
        assert second.runs == 1
        with pytest.raises(Interrupted):
            run.save("7:x", {"contents": 1})
        with pytest.raises(Interrupted):
            run.lease.check()
        return {"runs": "of the one that hung"}

    first.act = hang
    first.look()
    state = state_of(service)
    assert (state.worker, state.report, state.cursor) == ("b", {"runs": 1}, "")


def test_run_that_cannot_renew_stops_itself_before_others_take_over(service: Service) -> None:
    one = host(service, "a")

    def work(_service: Service, run: Run) -> Report:
        one.passes(UNRENEWED_SECONDS - 1)
        maintenance.renew_leases(one.service, monotonic=lambda: one.monotonic_seconds)
        one.passes(UNRENEWED_SECONDS - 1)
        run.lease.check()
        one.passes(2)
        run.lease.check()
        raise AssertionError

    one.act = work
    one.look()
    assert UNRENEWED_SECONDS < SILENCE_SECONDS
    assert state_of(service).outcome is Outcome.STOPPED


def test_command_is_recorded_and_delays_the_next_run(service: Service) -> None:
    one = host(service, "a")
    with run_by_hand(one.service, JOB, HOUR.total_seconds()) as report:
        report["packs"] = 5
    assert state_of(service).report == {"packs": 5}
    assert one.look() == 0
    one.passes(3600)
    assert one.look() == 1


def test_command_beside_a_run_is_not_recorded(service: Service) -> None:
    one, command = host(service, "a"), host(service, "b")

    def work(_service: Service, _run: Run) -> Report:
        with run_by_hand(command.service, JOB) as report:
            report["packs"] = 5
        return {"packs": 1}

    one.act = work
    one.look()
    assert state_of(service).report == {"packs": 1}


def test_job_that_is_switched_on_after_a_command_runs(service: Service) -> None:
    one = host(service, "a")
    with run_by_hand(one.service, JOB):
        pass
    assert one.look() == 1


def maintain(service: Service, plan: Plan) -> MaintenanceState:
    Maintainer(service, plan, may_go_on=lambda: True).run_if_due()
    return state_of(service, plan.job)


def test_sweep_frees_what_was_deleted(service: Service, tmp_path: Path) -> None:
    images.delete_image(service, OWNER, image_with(service, b"x" * 100_000).id)
    plan = replace(plan_sweep(HOUR, timedelta(0)), first_after=timedelta(0))
    state = maintain(service, plan)
    assert (state.report["contents"], state.report["packs"]) == (1, 1)
    assert not [each for each in (tmp_path / "store" / layout.PACKS).rglob("*") if each.is_file()]


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(300_000)


def damage(tmp_path: Path, data: bytes) -> None:
    """Flip a byte of the pack that holds the data."""
    for file in (tmp_path / "store" / layout.PACKS).rglob("*"):
        stored = file.read_bytes() if file.is_file() else b""
        at = stored.find(data[:64])
        if at >= 0:
            file.chmod(0o600)
            file.write_bytes(stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])
            return
    raise AssertionError


def verifying(pace: int = 0) -> Plan:
    return replace(plan_verification(HOUR, pace, lambda _seconds: None), first_after=timedelta(0))


def test_verification_names_damaged_images(service: Service, tmp_path: Path) -> None:
    made = [image_with(service, noise(seed)) for seed in range(3)]
    damage(tmp_path, noise(1))
    report = maintain(service, verifying()).report
    assert report == {"contents": 3, "bytes": 900_000, "damaged": 1, "images": [made[1].id]}


def test_verification_goes_on_where_another_worker_stopped(service: Service, tmp_path: Path) -> None:
    """The damaged first image is saved with the position behind it; the next run reads only what comes after."""
    made = [image_with(service, noise(seed)) for seed in range(4)]
    damage(tmp_path, noise(0))
    went_on: list[ImageID] = []

    def go_on() -> bool:
        return state_of(service, MaintenanceJob.VERIFY).cursor == ""

    Maintainer(service, verifying(), may_go_on=go_on).run_if_due()
    stopped = state_of(service, MaintenanceJob.VERIFY)
    assert (stopped.outcome, stopped.report["contents"], stopped.report["damaged"]) == (Outcome.STOPPED, 1, 1)
    images.delete_image(service, OWNER, made[1].id)
    state = maintain(service, verifying())
    assert state.report == {"contents": 3, "bytes": 900_000, "damaged": 1, "images": [made[0].id]}
    assert (state.outcome, state.cursor, went_on) == (Outcome.SUCCESS, "", [])


def test_store_that_does_not_respond_is_a_failure_not_damage(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    image_with(service, noise(1))
    store = service.stores.by_id[service.stores.default].store

    def refuse(*_arguments: object, **_named: object) -> object:
        raise problems.StoreUnavailable("The store does not respond")

    for verb in ("stat", "get"):
        monkeypatch.setattr(type(store), verb, refuse)
    with pytest.raises(problems.StoreUnavailable):
        maintain(service, verifying())
    assert state_of(service, MaintenanceJob.VERIFY).outcome is Outcome.FAILURE


def test_pace_keeps_the_rate_and_makes_up_for_a_second_only() -> None:
    now, waited = [0.0], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    pace = Pace(1000, Lease("t", may_go_on=lambda: True).check, wait, monotonic=lambda: now[0])
    for _ in range(10):
        pace.spend(500)
    assert now[0] == pytest.approx(5.0)
    now[0] += 100
    for _ in range(10):
        pace.spend(500)
    assert now[0] == pytest.approx(5.0 + 100 + 4.0)


def test_expiry_goes_on_after_one_removal_failed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> bool:
        raise OSError(24, "Too many open files")

    removed = []
    monkeypatch.setattr("partage.records.pending_deletes.are_due", fail)
    monkeypatch.setattr(tasks, "have_expired", lambda *_a, **_n: removed.append("tasks"))
    with pytest.raises(OSError, match="Too many"):
        maintain(service, plan_expiry(HOUR))
    assert removed == ["tasks"]
    assert state_of(service, MaintenanceJob.EXPIRY).message.startswith("OSError")


def test_end_that_cannot_be_recorded_is_found_later(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away in the middle of a run; the same process finds that nothing runs under its lease."""
    one = host(service, "a")
    change = rows.change

    def refuse(*_arguments: object, **_named: object) -> bool:
        raise problems.DatabaseUnavailable("The database does not answer at the moment")

    def lose_database(_service: Service, _run: Run) -> Report:
        monkeypatch.setattr(rows, "change", refuse)
        return {}

    one.act = lose_database
    one.look()
    monkeypatch.setattr(rows, "change", change)
    assert state_of(service).token is not None
    one.act = lambda _service, _run: {"runs": 2}
    one.look()
    assert state_of(service).report == {"runs": 2}


def test_space_comes_back_in_two_grace_periods_and_three_intervals(tmp_path: Path) -> None:
    """As docs/maintenance.md says: within 51 hours with the default settings, and not before 48."""
    clock = Clock()
    service = make(tmp_path, clock=clock)
    plan = replace(plan_sweep(HOUR, timedelta(days=1)), first_after=timedelta(0))
    image_id = image_with(service, noise(1)).id
    maintain(service, plan)
    clock.passes(minutes=30)
    images.delete_image(service, OWNER, image_id)
    hours = 0.0
    while [each for each in (tmp_path / "store" / layout.PACKS).rglob("*") if each.is_file()]:
        clock.passes(minutes=30)
        hours += 0.5
        Maintainer(service, plan, may_go_on=lambda: True).run_if_due()
        assert hours <= 51
    assert hours >= 48
