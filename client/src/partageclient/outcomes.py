"""What became of each pair of image and project, and how an action on many pairs goes on, or stops."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from partageclient import errors

NOT_BEGUN, FAILED = "not begun", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one pair of image and project.

    `image` and `project` are what the person wrote; the ids are empty where they could not be found. `result` says in a word or two
    what was done, or would be. `status` is the member's answer as it is now. `problem` is set if it failed. `was_made_shared`: the
    image was private before. `ends_at` is when access ends (RFC 3339; None: it does not, or at once).
    """

    image: str
    project: str
    image_id: str = ""
    project_id: str = ""
    status: str = ""
    result: str = ""
    ends_at: str | None = None
    was_made_shared: bool = False
    problem: errors.ClientError | None = None


class Attempts:
    """Actions on many pairs: one that fails does not stop the others, but an endpoint that is away, or a lost sign-in, does.

    Otherwise each of a thousand pairs would wait for its own timeout.
    """

    def __init__(self) -> None:
        self._stopped_by: errors.ClientError | None = None

    def attempt(self, action: Callable[[], Outcome], otherwise: Outcome) -> Outcome:
        """Return the outcome of the action, or `otherwise` with the problem."""
        if self._stopped_by is not None:
            return replace(otherwise, result=NOT_BEGUN, problem=self._stopped_by)
        try:
            return action()
        except (errors.Unreachable, errors.NotSignedIn) as problem:
            self._stopped_by = problem
            return replace(otherwise, result=FAILED, problem=problem)
        except errors.ClientError as problem:
            return replace(otherwise, result=FAILED, problem=problem)
