"""The guard against random walks of an owner: no member that uses an image loses access earlier than the cool-down after it could.

The rule that is checked is short, and looks at no ending and no reason: a member that uses a guarded image, and sees no ending of
its access, has access for the cool-down from that moment on, whatever the owner does next. What the member itself gives up, the
expiry that it has accepted, and a guard that is switched off in time are the only exceptions. Access ends when the ending says so.
Until then the member sees the image as it was when the ending began.
"""

from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from partage import problems
from partage.model.guard import GuardMode
from partage.model.ids import ProjectID
from partage.model.impact import Action, EndOfAccess
from partage.model.member import MemberStatus
from partage.model.patch import Change, Operation
from partage.model.share import Share
from partage.model.use import UseKey, UseKind
from partage.operations import downloads, images, promises, sweep
from partage.operations.service import Service
from partage.operations.sharing import guards, impact, shares, uses
from partage.operations.sharing.guards import EndRequest
from tests.crashes import worlds
from tests.races import sharing_calls
from tests.races.sharing_calls import CALLERS
from tests.races.sharing_model import Call
from tests.races.stages import Stage
from tests.services import change_service

EXAMPLES = {"sqlite": 25, "postgresql": 4, "mariadb": 4}
MANY_EXAMPLES = {"sqlite": 3000, "postgresql": 600, "mariadb": 600}
COOL_DOWN = 24
OWNER = "A"
MEMBERS = ("B", "C")
NAME = "image"
IMAGE = worlds.id_of(NAME)

members = st.sampled_from(MEMBERS)
pauses = st.sampled_from([0, 0, 1, 5, COOL_DOWN - 1, COOL_DOWN])
ENDS = ("private", "deactivate", "delete", "end", "remove member")
BACK = ("shared", "shared", "community", "reactivate", "restore", "cancel ending", "add member")
terms = st.fixed_dictionaries({"notice": st.sampled_from([0, 1, 10, 30, None, "while-used"])}, optional={"after": st.just(40)})


def nothing(_service: Service) -> None:
    """Begin with an empty database."""


class Walk(RuleBasedStateMachine):
    """An owner who does whatever it can to end access early, two members, and what the guard owes them."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._now = 0
        service = sharing_calls.with_rules(
            self._opened.enter_context(self.stage.world(nothing)), lambda: sharing_calls.moment(self._now)
        )
        self._service = change_service(
            service,
            guard=GuardMode.BLOCK,
            guard_cool_down=timedelta(seconds=COOL_DOWN),
            while_used=True,
            while_used_grace=timedelta(seconds=5),
        )
        self._known: dict[str, bool] = {}
        """Whether a project has uses; absent is unknown."""
        self._owed = dict.fromkeys(MEMBERS, 0)
        """Until when each project has access, whatever the owner does."""
        self._off_at: int | None = None
        self._frozen: dict[str, int] = {}
        """What each member whose notice runs saw as min_ram when it began."""

    def teardown(self) -> None:
        self._opened.close()

    @initialize()
    def begin(self) -> None:
        self.act(OWNER, "create")
        for each in MEMBERS:
            self.share(each, {"notice": 0})

    def act(self, caller: str, name: str, **given: Any) -> Any:
        """Carry out a call, and look whether everybody still has what it is owed."""
        answer = sharing_calls.carry_out(self._service, Call(name, caller, (NAME,), given))
        self.look()
        return answer

    @rule(member=members, terms=terms)
    def share(self, member: str, terms: dict[str, Any]) -> None:
        self.offer(member, terms)
        self.accept(member)

    @rule(member=members, terms=terms)
    def offer(self, member: str, terms: dict[str, Any]) -> None:
        offered = {"notice": terms["notice"]} | ({"expires_at": self._now + terms["after"]} if "after" in terms else {})
        self.act(OWNER, "offer", projects=(member,), make_shared=True, all_or_nothing=False, **offered)

    @rule(member=members, act=st.sampled_from([*ENDS, *BACK]), seconds=pauses)
    def change(self, member: str, act: str, seconds: int) -> None:
        """Do what ends access on a guarded image, or what takes that back, and wait."""
        if act in ("private", "shared", "community"):
            self.act(OWNER, "set visibility", visibility=act)
        elif act in ("deactivate", "reactivate", "delete", "restore"):
            self.act(OWNER, act)
        else:
            self.act(OWNER, act, project=member)
        self.let_time_pass(seconds)

    @rule(min_ram=st.integers(0, 9))
    def change_image(self, min_ram: int) -> None:
        """Change what decides whether a server can be rebuilt."""
        with suppress(problems.Problem):
            change = Change(Operation.REPLACE, ("min_ram",), min_ram)
            images.update_image(self._service, CALLERS[OWNER], IMAGE, (change,))
        self.look()

    @rule(member=members, notice=st.sampled_from([1, 10, 30, "while-used"]))
    def change_terms(self, member: str, notice: Any) -> None:
        self.act(OWNER, "change terms", project=member, notice=notice)

    @rule(member=members, action=st.sampled_from(Action), is_acknowledged=st.booleans(), seconds=pauses)
    def end_access(self, member: str, action: Action, is_acknowledged: bool, seconds: int) -> None:
        """End access by the road that can be acknowledged: it is refused to nobody who has accepted notice, and as predicted."""
        member_id = ProjectID(member) if action is Action.UNSHARE else None
        request = EndRequest(action=action, member_id=member_id, is_acknowledged=is_acknowledged)
        predicted = None
        with suppress(problems.Problem):
            predicted = impact.show_impact(self._service, CALLERS[OWNER], IMAGE, action, member_id)
        try:
            guards.end_access(self._service, CALLERS[OWNER], IMAGE, request)
        except problems.ImageGuarded:
            assert predicted is not None
            assert predicted.is_blocked
            assert not (is_acknowledged and predicted.can_acknowledge)
        except problems.Problem:
            pass
        else:
            lost = [each.project_id for each in predicted.projects if each.ends is EndOfAccess.NOW] if predicted else []
            assert not [each for each in lost if each in MEMBERS and self.has_access(each)], "impact named who lost nothing"
        self.look()
        self.let_time_pass(seconds)

    @rule(mode=st.sampled_from([GuardMode.OFF, GuardMode.BLOCK, None]))
    def switch_guard(self, mode: GuardMode | None) -> None:
        with suppress(problems.Problem):
            guard = guards.switch_guard(self._service, CALLERS[OWNER], IMAGE, mode)
            settled = guard.mode(self._service.clock()) is GuardMode.OFF
            is_pending = guard.pending is not None and guard.pending.override is GuardMode.OFF
            if not settled:
                self._off_at = (self._off_at or self._now + COOL_DOWN) if is_pending else None
        self.look()

    @rule(member=members, ended=st.booleans())
    def record_use(self, member: str, ended: bool) -> None:
        key = UseKey(image_id=IMAGE, project_id=ProjectID(member), kind=UseKind.SERVER, use_id="s")
        with suppress(problems.Problem):
            uses.record_use(self._service, CALLERS[member], key)
            self._known[member] = True
        if ended and member in self._known:
            uses.release_use(self._service, CALLERS[member], key)
            self._known[member] = False
            self._owed[member] = 0
        self.look()

    @rule(member=members, leaves=st.booleans())
    def leave_or_run_jobs(self, member: str, leaves: bool) -> None:
        if leaves:
            self._owed[member] = 0
            self.act(member, "leave", project=member)
        promises.remove_expired(self._service)
        sweep.sweep(self._service, grace=timedelta(0))
        self.look()

    @rule(member=members)
    def accept(self, member: str) -> None:
        self.act(member, "answer", project=member, status="accepted")

    def let_time_pass(self, seconds: int) -> None:
        if seconds:
            self._now += seconds
            self.look()

    def look(self) -> None:
        """Compare the access of each member with what it is owed, and note what it is owed from now on."""
        for member in MEMBERS:
            has_access, share = self.has_access(member), self.find_share(member)
            assert has_access or self._now >= self._owed[member], f"{member} lost access at {self._now}, owed {self._owed[member]}"
            ending = None if share is None else share.ending
            if ending is not None and ending.ends_at is not None:
                assert ending.ends_at > self._service.clock()
            is_open = self.is_open()
            if ending is None or not has_access:
                self._frozen.pop(member, None)
            else:
                seen = images.show_image(self._service, CALLERS[member], IMAGE).min_ram
                assert seen == self._frozen.setdefault(member, seen), f"{member} sees another image than was shared"
            assert not has_access or is_open or share is not None, f"{member} has access without a share"
            uses_image = self._known.get(member, not is_open or share is not None)
            is_counted = share is not None and share.status is MemberStatus.ACCEPTED and ending is None
            if has_access and uses_image and (is_counted or (is_open and self._known.get(member))):
                owed = self._now + COOL_DOWN
                owed = owed if self._off_at is None else min(owed, self._off_at)
                if share is not None and share.terms.expires_at is not None:
                    owed = min(owed, int((share.terms.expires_at - sharing_calls.START).total_seconds()))
                self._owed[member] = max(self._owed[member], owed)

    def has_access(self, member: str) -> bool:
        try:
            downloads.open_image_data(self._service, CALLERS[member], IMAGE)
        except (problems.ImageNotFound, problems.ImageDeactivated):
            return False
        return True

    def is_open(self) -> bool:
        try:
            return images.show_image(self._service, CALLERS[OWNER], IMAGE).visibility.value == "community"
        except problems.ImageNotFound:
            return False

    def find_share(self, member: str) -> Share | None:
        try:
            return shares.show_share(self._service, CALLERS[member], IMAGE, ProjectID(member))
        except problems.ShareNotFound:
            return None


def run(stage: Stage, examples: int, steps: int) -> None:
    """Run random walks on a database."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(type("Walk", (Walk,), {"stage": stage}), settings=chosen)


def test_no_walk_of_an_owner_ends_access_within_the_cool_down(stage: Stage) -> None:
    run(stage, EXAMPLES[stage.name], 25)


@pytest.mark.slow
def test_no_long_walk_of_an_owner_ends_access_within_the_cool_down(stage: Stage) -> None:
    run(stage, MANY_EXAMPLES[stage.name], 50)
