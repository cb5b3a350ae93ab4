"""The guard as a value: what a switch does at once, and what waits for the cool-down."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from partage.model.guard import Guard, GuardMode, counts_as_use
from partage.model.ids import ProjectID
from partage.model.use import ProjectUses, UseKind

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAY = timedelta(days=1)
MODES = st.sampled_from([None, *GuardMode])
B = ProjectID("B")


def test_switching_on_takes_effect_at_once() -> None:
    guard = Guard(default=GuardMode.OFF).switch(GuardMode.BLOCK, now=NOW, cool_down=DAY)
    assert (guard.mode(NOW), guard.pending) == (GuardMode.BLOCK, None)


def test_switching_off_takes_effect_after_the_cool_down() -> None:
    guard = Guard(default=GuardMode.BLOCK).switch(GuardMode.OFF, now=NOW, cool_down=DAY)
    assert guard.mode(NOW + DAY - timedelta(microseconds=1)) is GuardMode.BLOCK
    assert guard.mode(NOW + DAY) is GuardMode.OFF


def test_switching_off_again_keeps_its_time() -> None:
    guard = Guard(default=GuardMode.BLOCK).switch(GuardMode.OFF, now=NOW, cool_down=DAY)
    again = guard.switch(GuardMode.OFF, now=NOW + DAY / 2, cool_down=DAY)
    assert again == guard


def test_switching_on_takes_a_pending_switch_back() -> None:
    guard = Guard(default=GuardMode.BLOCK).switch(GuardMode.OFF, now=NOW, cool_down=DAY)
    assert guard.switch(None, now=NOW, cool_down=DAY) == Guard(default=GuardMode.BLOCK)


@given(default=st.sampled_from(GuardMode), switches=st.lists(st.tuples(MODES, st.integers(0, 30)), max_size=8))
def test_protection_never_ends_within_the_cool_down(default: GuardMode, switches: list[tuple[GuardMode | None, int]]) -> None:
    """From any moment at which a switch found it on, it stays on for the cool-down after the first switch to off."""
    guard, now = Guard(default=default), NOW
    asked_off: datetime | None = None
    for override, hours in switches:
        now += timedelta(hours=hours)
        was = guard.mode(now)
        guard = guard.switch(override, now=now, cool_down=DAY)
        becomes = override or default
        if was is GuardMode.BLOCK and becomes is GuardMode.OFF:
            asked_off = asked_off or now
            assert guard.mode(now) is GuardMode.BLOCK
            assert guard.mode(asked_off + DAY - timedelta(seconds=1)) is GuardMode.BLOCK
            assert guard.mode(asked_off + DAY) is GuardMode.OFF
        else:
            asked_off = None
            assert guard.mode(now) is becomes
            assert guard.mode(now + 400 * DAY) is becomes


def test_member_counts_as_user_by_uses_downloads_or_ignorance() -> None:
    old = NOW - 31 * DAY
    assert counts_as_use(None, NOW)
    assert counts_as_use(ProjectUses(project_id=B, last_download=old), NOW)
    assert counts_as_use(ProjectUses(project_id=B, counts={UseKind.SERVER: 1}, last_used=old), NOW)
    assert counts_as_use(ProjectUses(project_id=B, is_complete=False, last_used=old), NOW)
    assert counts_as_use(ProjectUses(project_id=B, last_used=old, last_download=NOW - 29 * DAY), NOW)
    assert not counts_as_use(ProjectUses(project_id=B, last_used=old, last_download=old), NOW)
