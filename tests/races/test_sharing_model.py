"""Sharing against its reference model: random sequences of calls, and after each of them everything that every caller sees.

`sharing_model.py` is the model. The clock moves only when the machine moves it. Jobs run at random and change nothing visible.
"""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from partage.operations import promises, sweep
from partage.operations.service import Service
from tests.races import sharing_calls, sharing_model
from tests.races.sharing_model import Call
from tests.races.sharing_world import ADMIN, WHILE_USED, Notice, World, at
from tests.races.stages import Stage

EXAMPLES = {"sqlite": 30, "postgresql": 6, "mariadb": 6}
MANY_EXAMPLES = {"sqlite": 2000, "postgresql": 400, "mariadb": 400}
MOST_IMAGES = 5

callers = st.sampled_from("AAABBBCCZ")
projects = st.sampled_from("BBBCCA")
statuses = st.sampled_from(["accepted", "accepted", "rejected", "pending"])
notices = st.sampled_from([0, 10, 30, None, WHILE_USED, WHILE_USED])
after_seconds = st.sampled_from([0, 1, 15, 40])
images = st.integers(0, MOST_IMAGES - 1)
members = st.sampled_from("BBC")
servers = st.sampled_from(["one", "two", "three"])
codes = st.integers(0, 3)


def nothing(_service: Service) -> None:
    """Begin with an empty database."""


class Sharing(RuleBasedStateMachine):
    """Does the same to the service and to the model, and compares."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._now = 0
        service = self._opened.enter_context(self.stage.world(nothing))
        self._service = sharing_calls.with_rules(service, lambda: sharing_calls.moment(self._now))
        self._world = World()
        self._names: list[str] = []
        self._codes: list[str] = []

    def teardown(self) -> None:
        self._opened.close()

    def call(self, name: str, caller: str, *chosen: int, **given: Any) -> None:
        """Call, compare the answers, and compare what everybody sees now."""
        self._carry_out(Call(name, caller, tuple(dict.fromkeys(self._names[each % len(self._names)] for each in chosen)), given))

    def _carry_out(self, call: Call) -> None:
        self._world, expected = sharing_model.carry_out(self._world, call, self._now)
        answered = sharing_calls.carry_out(self._service, call)
        assert answered == expected, f"{call} at {self._now}: {answered}, and the model answers {expected}"
        self._compare(f"after {call} at {self._now}")

    def _compare(self, when: str) -> None:
        world = at(self._world, self._now)
        for caller in "ABCDZ":
            seen = sharing_calls.look(self._service, self._names, caller)
            expected = sharing_calls.expect(world, self._names, caller)
            different = {what: (seen[what], expected[what]) for what in seen if seen[what] != expected[what]}
            assert not different, f"{when} {caller} sees what the model does not: {different}"

    @initialize()
    def begin(self) -> None:
        self.create("A")

    @rule(caller=st.sampled_from("AAB"))
    def create(self, caller: str) -> None:
        if len(self._names) < MOST_IMAGES:
            self._names.append(f"image {len(self._names)}")
            self._now += 1  # lists are in the order of creation
            self._carry_out(Call("create", caller, (self._names[-1],)))

    @rule(image=images, project=projects, notice=notices)
    def share(self, image: int, project: str, notice: Notice) -> None:
        """Do what most worlds begin with, so that endings are not rare."""
        offered = {"projects": (project,), "notice": notice, "make_shared": True, "all_or_nothing": False}
        self.call("offer", "A", image, **offered)
        self.call("answer", project, image, project=project, status="accepted")

    @rule(caller=callers, image=images, project=projects)
    def add_member(self, caller: str, image: int, project: str) -> None:
        self.call("add member", caller, image, project=project)

    @rule(caller=callers, image=images, project=projects, status=statuses)
    def update_member(self, caller: str, image: int, project: str, status: str) -> None:
        self.call("update member", caller, image, project=project, status=status)

    @rule(caller=callers, image=images, project=projects)
    def remove_member(self, caller: str, image: int, project: str) -> None:
        self.call("remove member", caller, image, project=project)

    @rule(
        caller=callers, image=images, visibility=st.sampled_from(["private", "private", "shared", "shared", "public", "community"])
    )
    def set_visibility(self, caller: str, image: int, visibility: str) -> None:
        self.call("set visibility", caller, image, visibility=visibility)

    @rule(caller=callers, image=images, act=st.sampled_from(["deactivate", "deactivate", "reactivate", "delete"]))
    def change_image(self, caller: str, image: int, act: str) -> None:
        self.call(act, caller, image)

    @rule(
        caller=callers,
        chosen=st.lists(images, min_size=1, max_size=2),
        to=st.lists(projects, min_size=1, max_size=2, unique=True),
        terms=st.fixed_dictionaries({}, optional={"notice": notices, "after_seconds": after_seconds}),
        flags=st.tuples(st.booleans(), st.booleans()),
    )
    def offer(self, caller: str, chosen: list[int], to: list[str], terms: dict[str, Any], flags: tuple[bool, bool]) -> None:
        given = self._with_expiry(terms) | {"make_shared": flags[0], "all_or_nothing": flags[1]}
        self.call("offer", caller, *chosen, projects=tuple(to), **given)

    @rule(caller=callers, image=images, project=projects, status=st.sampled_from(["accepted", "accepted", "rejected"]))
    def answer(self, caller: str, image: int, project: str, status: str) -> None:
        self.call("answer", caller, image, project=project, status=status)

    @rule(
        caller=st.sampled_from("BC"),
        chosen=st.lists(images, min_size=1, max_size=2),
        status=st.sampled_from(["accepted", "rejected"]),
    )
    def answer_many(self, caller: str, chosen: list[int], status: str) -> None:
        self.call("answer many", caller, *chosen, status=status)

    @rule(
        caller=callers,
        image=images,
        project=projects,
        act=st.sampled_from(["leave", "end", "end", "cancel ending", "cancel ending"]),
    )
    def change_share(self, caller: str, image: int, project: str, act: str) -> None:
        self.call(act, caller, image, project=project)

    @rule(
        caller=callers,
        image=images,
        project=projects,
        terms=st.fixed_dictionaries({}, optional={"notice": notices, "after_seconds": after_seconds}),
    )
    def change_terms(self, caller: str, image: int, project: str, terms: dict[str, Any]) -> None:
        self.call("change terms", caller, image, project=project, **self._with_expiry(terms))

    @rule(caller=callers, image=images)
    def restore(self, caller: str, image: int) -> None:
        self.call("restore", caller, image)

    @rule(image=images)
    def restore_as_operator(self, image: int) -> None:
        self.call("restore as operator", ADMIN, image)

    @rule(caller=st.sampled_from("ABC"), image=images)
    def adopt(self, caller: str, image: int) -> None:
        if len(self._names) < MOST_IMAGES:
            source = self._names[image % len(self._names)]
            self._names.append(f"image {len(self._names)}")
            self._now += 1
            self._carry_out(Call("adopt", caller, (source, self._names[-1])))

    @rule(caller=members, image=images, server=servers, act=st.sampled_from(["record use", "release use"]))
    def use(self, caller: str, image: int, server: str, act: str) -> None:
        self.call(act, caller, image, server=server)

    @rule(image=images, project=members, server=servers, change=st.sampled_from(["seen", "seen", "rebuilt", "ended"]))
    def hear(self, image: int, project: str, server: str, change: str) -> None:
        self.call("hear", ADMIN, image, project=project, server=server, change=change)

    @rule(
        caller=callers,
        image=images,
        uses=st.sampled_from([1, 2]),
        after=st.sampled_from([None, 0, 15]),
        terms=st.fixed_dictionaries({}, optional={"notice": notices, "after_seconds": after_seconds}),
    )
    def create_code(self, caller: str, image: int, uses: int, after: int | None, terms: dict[str, Any]) -> None:
        self._codes.append(f"code {len(self._codes)}")
        given = self._with_expiry(terms) | {"code": self._codes[-1], "uses": uses, "make_shared": uses == 1}
        self.call("create code", caller, image, valid_until=self._now + (7 * 86400 if after is None else after), **given)

    @rule(caller=st.sampled_from("ABBC"), code=codes)
    def claim(self, caller: str, code: int) -> None:
        self._call_with_code("claim", caller, code)

    @rule(caller=callers, code=codes)
    def revoke_code(self, caller: str, code: int) -> None:
        self._call_with_code("revoke code", caller, code)

    def _call_with_code(self, name: str, caller: str, code: int) -> None:
        """Use a code of the image that has it; or, of one that has none, a code that never was."""
        named = self._codes[code % len(self._codes)] if self._codes else "absent"
        holder = next((each for each, image in self._world.images.items() if named in image.codes), self._names[0])
        self._carry_out(Call(name, caller, (holder,), {"code": named}))

    @rule(member=members, owner=st.sampled_from("AAB"), rule=st.sampled_from(["accept", "ask", "refuse", "refuse", None]))
    def trust(self, member: str, owner: str, rule: str | None) -> None:
        if member != owner:
            given = {"owner": owner} | ({"rule": rule} if rule else {})
            self.call("set rule" if rule else "remove rule", member, **given)

    @precondition(lambda self: len(self._names) > 2)
    @rule(project=st.sampled_from("AB"))
    def close_project(self, project: str) -> None:
        self.call("close project", ADMIN, project=project)

    @rule(seconds=st.sampled_from([1, 5, 10, 20]))
    def let_time_pass(self, seconds: int) -> None:
        self._now += seconds
        self._compare(f"at {self._now}")

    @rule()
    def run_jobs(self) -> None:
        promises.remove_expired(self._service)
        sweep.sweep(self._service, grace=timedelta(0))
        self._compare(f"after jobs at {self._now}")

    def _with_expiry(self, terms: dict[str, Any]) -> dict[str, Any]:
        if "after_seconds" not in terms:
            return terms
        seconds = terms["after_seconds"]
        return {name: each for name, each in terms.items() if name != "after_seconds"} | {"expires_at": self._now + seconds}


def run(stage: Stage, examples: int, steps: int) -> None:
    """Run random sequences on a database."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(type("Sharing", (Sharing,), {"stage": stage}), settings=chosen)


def test_service_and_model_agree_after_each_call(stage: Stage) -> None:
    run(stage, EXAMPLES[stage.name], 25)


@pytest.mark.slow
def test_service_and_model_agree_in_many_long_sequences(stage: Stage) -> None:
    run(stage, MANY_EXAMPLES[stage.name], 50)
