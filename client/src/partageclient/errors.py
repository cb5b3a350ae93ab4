"""Every way a function of this client can fail. A message says what was asked, what stood in the way, and what helps."""

from partageclient.printable import make_printable


class ClientError(Exception):
    """A request that failed: `asked` is what was asked, `obstacle` what stood in the way, `remedy` what helps."""

    def __init__(self, asked: str, obstacle: str, remedy: str = "") -> None:
        self.asked, self.obstacle, self.remedy = asked, obstacle, remedy
        super().__init__(asked, obstacle, remedy)

    def __str__(self) -> str:
        return make_printable(" ".join(_end_sentence(each) for each in (f"{self.asked}: {self.obstacle}", self.remedy) if each))


class Invalid(ClientError):
    """What was asked cannot be right; nothing was changed."""


class NotFound(ClientError):
    """There is no such image, project, share or profile, or the caller may not see it."""


class Ambiguous(ClientError):
    """A name stands for several images or projects."""


class Forbidden(ClientError):
    """The cloud does not let the caller do this."""


class Conflict(ClientError):
    """The state of the image or share does not permit this."""


class NotSignedIn(ClientError):
    """The cloud does not accept the credentials, or the token has expired and cannot be renewed."""


class Unreachable(ClientError):
    """An endpoint does not answer, or what answers has the wrong certificate."""


class Overloaded(ClientError):
    """The service asks to be left alone for a while, or a limit of it is reached."""


class Unsupported(ClientError):
    """The endpoint does not have what was asked for."""


class Damaged(ClientError):
    """The data that arrived is not that of the image. What was made of it was removed, or the message says where it is."""


class Unexpected(ClientError):
    """The service failed, or answered something that is no answer."""


class Interrupted(Exception):
    """The user pressed Ctrl-C. `results` has what was done before, `left` the number of those that were not begun."""

    def __init__(self, results: list[object], left: int) -> None:
        self.results, self.left = results, left
        super().__init__(f"interrupted; {len(results)} done, {left} not begun")


def _end_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
