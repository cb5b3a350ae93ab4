"""What every run of a task shares: the claim, the transaction of one step, and reports of progress.

A run writes only while it has its claim, so that a run whose worker was declared dead changes nothing (`TaskLost`), and only
while its image exists (`ImageGone`), so that nothing is fetched for a deleted image.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from partage import problems
from partage.model import importing
from partage.model.ids import ImageID, StoreID
from partage.model.image import Image
from partage.model.import_request import ImportMethod, ImportRequest, request_of
from partage.model.signature import Certificate
from partage.model.task import Task, TaskType
from partage.operations.remote_chunks import Received
from partage.operations.service import Service
from partage.outbound.cancelling import Cancellation
from partage.records import images, tasks
from partage.records.database import Transaction

MEBIBYTE = 1 << 20
_REPORT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a task. `roles`, `sealed_token` and the `certificate` of a signed image come from the user who requested it.

    `refers`: the data stays on the web, and only its digest is computed. `cancellation` ends the run from another thread.
    """

    task: Task
    claim: str
    roles: tuple[str, ...]
    stores: tuple[StoreID, ...]
    sealed_token: str | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    refers: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation, compare=False)

    @property
    def image_id(self) -> ImageID:
        """The image that receives the data."""
        return self.task.image_id or ImageID("")

    @property
    def request(self) -> ImportRequest:
        """The requested import. A location, and a task of the tasks API, are imports from the web into the default store."""
        if self.task.type is not TaskType.API_IMAGE_IMPORT:
            name = "loc_url" if self.task.type is TaskType.LOCATION_IMPORT else "import_from"
            return ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=str(self.task.input[name]))
        given = self.task.input["import_req"]
        return request_of(given if isinstance(given, dict) else {})

    @property
    def promised(self) -> tuple[str, str]:
        """The algorithm and value of the digest that the data must have; empty if any digest is accepted."""
        given = self.task.input.get("validation_data")
        return (given["os_hash_algo"], given["os_hash_value"]) if isinstance(given, dict) and given else ("", "")

    def require_promised(self, actual: str) -> None:
        """Compare the digest of the data with the one that was promised with the location.

        Raises:
            DigestMismatch: it is another one.
        """
        if self.promised[1] != actual:
            raise problems.DigestMismatch(f"os_hash_value: ({self.promised[1]}) not matched with actual os_hash_value: ({actual})")

    @property
    def copies(self) -> bool:
        """Whether the image has its data already and is only copied to more stores."""
        return self.request.method is ImportMethod.COPY_IMAGE


@contextmanager
def step(service: Service, work: Run) -> Iterator[tuple[Transaction, Task, Image]]:
    """Open the transaction of one step, after checking the claim and that the image exists and belongs to the task."""
    with service.database.write() as tx:
        # The image before its task, as everybody who changes both.
        image = images.find_for_work(tx, work.image_id)
        task = tasks.find_claimed(tx, work.task.id, work.claim)
        if task is None:
            raise problems.TaskLost(f"The task {work.task.id} has another worker")
        if image is None:
            raise problems.ImageGone(f"Image {work.image_id} was deleted during its import")
        if importing.find_holder(image) != task.id:
            raise problems.StatusConflict(f"Another task has the image {image.id}")
        yield tx, task, image


def report_progress(service: Service, work: Run, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks while the run may continue, and record every few seconds how many bytes have passed."""
    copied = 0
    said = service.clock()
    for block in work.cancellation.check_each(blocks):
        copied += len(block)
        now = service.clock()
        if (now - said).total_seconds() >= _REPORT_SECONDS:
            said = now
            _tell(service, work, f"Copied {copied // MEBIBYTE} MiB")
        yield block


def find_received(service: Service, work: Run) -> Received | None:
    """Return what runs of this task have received whose workers died; None if nothing is known.

    What an ended task has received does not count: users can make a task end at a byte of their choice (docs/decisions/0075).
    """
    with service.database.read() as tx:
        row = tasks.find_received(tx, work.task.id)
    return None if row is None else Received(row.received_bytes, row.digest)


def note_received(service: Service, work: Run, received: Received) -> None:
    """Record what this run has received so far."""
    try:
        with service.database.write() as tx:
            tasks.note_received(tx, work.task.id, work.claim, received_bytes=received.stop, digest=received.digest)
    except problems.DatabaseUnavailable as problem:
        service.process.failures.note(problem, f"{work.task.request_id}: task {work.task.id}: received parts not recorded")


def _tell(service: Service, work: Run, words: str) -> None:
    now = service.clock()
    try:
        with step(service, work) as (tx, task, _image):
            tasks.save_claimed(tx, replace(task, message=words, updated_at=now), work.claim, now=now)
    except problems.DatabaseUnavailable as problem:
        # A long download must not start again because its progress cannot be recorded.
        service.process.failures.note(problem, f"{work.task.request_id}: task {work.task.id}: progress not recorded")
