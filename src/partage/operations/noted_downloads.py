"""The downloads that this process has noted and not written to the database yet."""

from collections.abc import Mapping
from datetime import datetime

from partage.model.ids import ImageID, ProjectID


class LastDownloads:
    """When projects downloaded images last, as far as it is not written yet. Thread-safe, because each step on the dict is atomic.

    About `most` pairs of image and project are noted; those beyond are forgotten.
    """

    def __init__(self, most: int = 10_000) -> None:
        """Note nothing yet."""
        self._most = most
        self._noted: dict[tuple[ImageID, ProjectID], datetime] = {}

    def note(self, image_id: ImageID, project_id: ProjectID, now: datetime) -> None:
        """Note a download."""
        pair = image_id, project_id
        if len(self._noted) < self._most or pair in self._noted:
            self._noted[pair] = now

    def put_back(self, downloads: Mapping[tuple[ImageID, ProjectID], datetime]) -> None:
        """Note downloads that were taken, unless later ones have been noted since."""
        for pair, moment in downloads.items():
            self._noted.setdefault(pair, moment)

    def take(self) -> Mapping[tuple[ImageID, ProjectID], datetime]:
        """Return what was noted, and forget it."""
        taken = {}
        for pair in list(self._noted):
            moment = self._noted.pop(pair, None)
            if moment is not None:
                taken[pair] = moment
        return taken
