"""Send the data of an image to a Partage in a resumable upload: after an interruption it goes on from the acknowledged offset.

The image stays half made after Ctrl-C or when the cloud does not answer, so that a later run can go on with it. Source:
docs/resumable-uploads.md; draft-ietf-httpbis-resumable-upload-12, "Resumable Uploads for HTTP".
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import requests

from partageclient import connections, errors
from partageclient.connections import Cloud
from partageclient.copied_metadata import Metadata
from partageclient.image_data import INTERRUPTIONS, PASSING, TIMEOUT_SECONDS, ImageData, Patience, find_digest
from partageclient.images import Image
from partageclient.progress import format_bytes, format_seconds

FEATURE = "resumable-uploads"

_TO_ANSWER_SECONDS = (TIMEOUT_SECONDS[0], 1800)
"""The service responds to the last bytes only when it has read all of them again."""

_COMPLETIONS = 40
"""How often the service is asked whether it has made the image active, after the response was lost: half an hour."""

_TO_RECORD_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""When a connection breaks, the service records what has arrived. A question for the offset before that would discard it."""

_PROBLEM = "urn:partage:problem:"
_NONE, _EXISTS, _TOO_MANY = (f"{_PROBLEM}{each}" for each in ("upload-not-found", "upload-exists", "too-many"))
_COMPLETING, _TAKEN_OVER, _UNDER_WAY = (
    f"{_PROBLEM}{each}" for each in ("upload-completing", "upload-taken-over", "upload-under-way")
)
_MISMATCH = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
_NOT_FOUND, _CONFLICT, _TOO_LARGE, _UNAVAILABLE = 404, 409, 413, 503
_HIDDEN = (404, 405, 501)
"""How a gateway answers that does not pass these requests on."""

_CAN_GO_ON = (KeyboardInterrupt, errors.Unreachable, errors.Overloaded, errors.NotSignedIn, errors.Unexpected)
"""After these a later run may succeed with the same half-made image."""


@dataclass(frozen=True)
class State:
    """How far an upload is: the bytes that the service has, and for how many seconds it keeps them without further ones.

    `is_completing`: it has all of them, and makes the image active at this moment.
    """

    offset: int
    is_complete: bool = False
    is_completing: bool = False
    length: int | None = None
    kept_seconds: int | None = None


@dataclass(frozen=True)
class Unfinished:
    """An upload that a former run has begun: its half-made image, and the bytes that the service has."""

    image: Image
    offset: int


class TakenOver(errors.Conflict):
    """Another run goes on with the upload."""


class _Interruption(Exception):
    """The upload may go on; the text is what happened."""


def find_unfinished(destination: Cloud, image: Image, metadata: Metadata, half_made: Iterable[Image]) -> Unfinished | None:
    """Find the upload of a former run that has the most bytes of an image.

    Only images with a digest are continued: nobody has compared the bytes of the former run. `half_made` are images that are not
    being written at this moment.

    Raises:
        ClientError: the destination does not answer.
    """
    candidates = [each for each in half_made if each.get("status") == "queued" and metadata.has_created(each)]
    if not candidates or find_digest(image) is None or FEATURE not in destination.features.names:
        return None
    found = [(each, find_state(destination, str(each["id"]))) for each in candidates]
    size = int(image["size"])
    begun = [
        Unfinished(each, state.offset)
        for each, state in found
        if state is not None and 0 < state.offset <= size and state.length in (None, size)
    ]
    return max(begun, key=lambda each: each.offset, default=None)


def find_state(destination: Cloud, image_id: str) -> State | None:
    """Ask how far the upload of an image is; None if there is none. A request that still writes to it ends.

    Raises:
        NotFound: there is no such image.
        ClientError: the destination does not answer.
    """
    asked = f"Ask how far the upload of image {image_id} is"
    response = destination.request("GET", _path(image_id), asked=asked, also=(_NOT_FOUND, _UNAVAILABLE))
    problem = _type_of(response.document)
    if problem == _NONE:
        return None
    if problem == _COMPLETING:
        return State(0, is_completing=True)
    if response.status in (_NOT_FOUND, _UNAVAILABLE):
        raise connections.error_of_status(response.status, response.document, asked)
    return _read_state(response.headers)


class Upload:
    """The upload of one image's data, in as many requests as it takes."""

    def __init__(
        self,
        data: ImageData,
        destination: Cloud,
        image_id: str,
        *,
        say: Callable[[str], None] = lambda _text: None,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe it without sending a request. `say` gets a sentence for each interruption."""
        self._data, self._destination, self._image_id = data, destination, image_id
        self._say, self._patience, self._sleep = say, patience or Patience(), sleep
        self._where = f" in {destination.name}" if destination.name else ""
        self._asked = f"Upload the data of image {image_id}{self._where}"
        self._reached = 0
        self._is_new = False

    def begin(self) -> bool:
        """Begin the upload, or find the one that a former run has begun. Return False if the service takes none at this time.

        Raises:
            ClientError: the service refuses the data, or does not answer.
        """
        headers = {"Upload-Complete": "?0", "Upload-Length": str(len(self._data))}
        also = {*_HIDDEN, _CONFLICT, _TOO_LARGE}
        # To begin it twice is the same as once: the response to the second request says so.
        answer = self._destination.request(
            "POST", _path(self._image_id), asked=self._asked, headers=headers, also=also, repeat=True
        )
        problem = _type_of(answer.document)
        if answer.status < 300 or problem == _EXISTS:  # noqa: PLR2004
            self._is_new = problem != _EXISTS
            return True
        if problem == _TOO_MANY or (answer.status in _HIDDEN and not problem.startswith(_PROBLEM)):
            return False
        raise connections.error_of_status(answer.status, answer.document, self._asked)

    def send(self) -> None:
        """Send all bytes that the service does not have, and let it make the image active.

        Raises:
            TakenOver: another run goes on with the upload.
            ClientError: source or destination refuse, or do not answer for too long.
        """
        failures = 0
        while True:
            try:
                state = self._find_state()
                if state.is_complete:
                    return
                if state.offset > self._reached:
                    self._reached, failures = state.offset, 0
                self._add(state.offset)
            except _Interruption as interruption:
                failures += 1
                self._data.close()
                if failures >= self._patience.attempts:
                    obstacle = f"{interruption}; gave up after {failures} attempts in a row"
                    raise errors.Unreachable(self._asked, obstacle, "Run it again when the service answers") from None
                self._sleep(self._patience.delay_seconds(failures))
                self._wait_until_recorded()
            else:
                return

    def keep_after(self, error: BaseException) -> bool:
        """Decide whether the half-made image is of use after a failure, and say how to go on with it or that it is removed."""
        if isinstance(error, TakenOver):
            return True
        if not isinstance(error, _CAN_GO_ON):
            return False
        size, deletion = len(self._data), f"or delete it: {self._destination.write_command(f'image delete {self._image_id}')}"
        name = f"The half-made image {self._image_id}{self._where}"
        try:
            self._wait_until_recorded()
            state = find_state(self._destination, self._image_id)
        except errors.NotFound:
            return False
        except (errors.ClientError, KeyboardInterrupt):
            self._say(f"{name} stays. Run the same command again to go on, {deletion}")
            return True
        if state is None or not (state.offset or state.is_completing):
            return False
        until = "" if state.kept_seconds is None else f" within {format_seconds(state.kept_seconds).removesuffix(' 00 min')}"
        has = f"has {format_bytes(size if state.is_completing else state.offset)} of {format_bytes(size)}"
        self._say(f"{name} {has}. Run the same command again{until} to go on from there, {deletion}")
        return True

    def _find_state(self) -> State:
        """Return how far the upload is; while the service makes the image active, wait.

        Raises:
            _Interruption: the service does not answer.
            ClientError: it refuses.
        """
        if self._is_new:
            self._is_new = False
            return State(0)
        for number in range(1, _COMPLETIONS + 1):
            try:
                state = find_state(self._destination, self._image_id)
            except (errors.Overloaded, errors.Unreachable, errors.Unexpected) as error:
                raise _Interruption(error.obstacle) from None
            if state is None:  # it has expired
                if not self.begin():
                    raise errors.Overloaded(self._asked, "the service keeps no further upload of this project")
                return State(0)
            if state.is_completing:
                self._sleep(self._patience.delay_seconds(number))
                continue
            if state.offset and not state.is_complete and state.offset != self._reached:
                self._say(f"The upload{self._where} goes on from byte {state.offset} of {len(self._data)}.")
            return state
        raise _Interruption("the service does not finish the upload")

    def _add(self, offset: int) -> None:
        """Send the bytes from an offset on, and wait until the image is active.

        Raises:
            _Interruption: the same request may succeed later, perhaps from another offset.
            ClientError: it will not.
        """
        rest = self._data.skip(offset)
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/partial-upload",
            "Upload-Complete": "?1",
            "Upload-Offset": str(offset),
        }
        try:
            answer: requests.Response = self._destination.connection.session.request(
                f"{self._destination.image_url}{_path(self._image_id)}",
                "PATCH",
                data=rest if len(rest) else None,
                headers=headers,
                timeout=_TO_ANSWER_SECONDS,
                raise_exc=False,
                connect_retries=0,
            )
        except INTERRUPTIONS as error:
            raise _Interruption(connections.translate(error, self._asked).obstacle) from None
        if answer.status_code in range(200, 300):
            if not _read_state(answer.headers).is_complete:
                raise _Interruption("the service has not taken all bytes")
            return
        document = connections.read_document(answer)
        problem = _type_of(document)
        if problem == _TAKEN_OVER:
            raise TakenOver(self._asked, "another run goes on with this upload", "Wait for it, and run it again")
        failure = connections.error_of_status(answer.status_code, document, self._asked)
        is_over = answer.headers.get("Upload-Complete") == "?1" and answer.status_code not in PASSING
        if not is_over and (answer.status_code in PASSING or problem in (_UNDER_WAY, _MISMATCH)):
            raise _Interruption(failure.obstacle)
        raise failure

    def _wait_until_recorded(self) -> None:
        """Give the service a moment to record what has arrived."""
        asked = f"Show image {self._image_id}{self._where}"
        for seconds in _TO_RECORD_SECONDS:
            try:
                shown = self._destination.request("GET", f"/v2/images/{self._image_id}", asked=asked).document
            except errors.ClientError:
                return  # the question for the offset will say why
            if shown["status"] != "saving":
                return
            self._sleep(seconds)


def _path(image_id: str) -> str:
    return f"/partage/v1/images/{image_id}/upload"


def _read_state(headers: Any) -> State:
    kept = re.search(r"max-age=(\d{1,9})", headers.get("Upload-Limit", ""))
    return State(
        _read_integer(headers.get("Upload-Offset", "")) or 0,
        is_complete=headers.get("Upload-Complete", "").strip().startswith("?1"),
        length=_read_integer(headers.get("Upload-Length", "")),
        kept_seconds=int(kept[1]) if kept else None,
    )


def _read_integer(text: str) -> int | None:
    found = re.match(r"\s*(\d{1,15})", text)
    return int(found[1]) if found else None


def _type_of(document: Any) -> str:
    return str(document.get("type", "")) if isinstance(document, dict) else ""
