"""What an operator sees of promises to members: retained images, and whom the end of an image hits."""

from collections.abc import Sequence
from dataclasses import dataclass

from partage.model.ending import Ending
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member
from partage.model.use import ProjectUses


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedImage:
    """An image that its owner, `former_owner`, has left to members whose notice runs."""

    image_id: ImageID
    name: str | None
    former_owner: ProjectID | None
    size_bytes: int
    kept_for: tuple[Ending, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeDown:
    """An image that is to be taken down: its members, the notices that run for it, and what is known of its uses."""

    image: Image
    members: Sequence[Member]
    endings: Sequence[Ending]
    uses: Sequence[ProjectUses]
