"""The guard of an image: whether the owner's calls may end the access of projects that use the image early. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from partage.model.use import ProjectUses

RECENT = timedelta(days=30)
"""A download that is not older counts as use."""


class GuardMode(StrEnum):
    """Off: access ends as in Glance. Block: a call that would end access of users within the cool-down is refused."""

    OFF = "off"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class PendingSwitch:
    """A switch that takes effect at a time. `override` None: the image goes back to the operator's default."""

    override: GuardMode | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of one image. `default` is the operator's mode; `override` None: the image has the default."""

    default: GuardMode
    override: GuardMode | None = None
    pending: PendingSwitch | None = None

    def settle(self, now: datetime) -> "Guard":
        """Return the guard at a time: a pending switch that is due has taken effect."""
        if self.pending is None or now < self.pending.at:
            return self
        return replace(self, override=self.pending.override, pending=None)

    def mode(self, now: datetime) -> GuardMode:
        """Return the mode that holds at a time."""
        return self.settle(now).override or self.default

    def switch(self, override: GuardMode | None, *, now: datetime, cool_down: timedelta) -> "Guard":
        """Return the guard after its owner has switched it.

        A switch that protects no less takes effect at once, and takes a pending switch back. A switch from block to off takes
        effect after the cool-down. Sent again it keeps its time.
        """
        was = self.settle(now)
        becomes = override or was.default
        if becomes is GuardMode.BLOCK or was.mode(now) is GuardMode.OFF or not cool_down:
            return replace(was, override=override, pending=None)
        at = now + cool_down if was.pending is None else was.pending.at
        return replace(was, pending=PendingSwitch(override, at))


def counts_as_use(uses: ProjectUses | None, now: datetime) -> bool:
    """Whether a member counts as a user of the image: it has a server or volume, a recent download, or its uses are unknown."""
    if uses is None or not (uses.has_uses or uses.last_used is not None):
        return True
    return uses.has_uses or (uses.last_download is not None and now - uses.last_download <= RECENT)
