"""A request to offer images to projects, and what became of each pair."""

from dataclasses import dataclass
from enum import StrEnum

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.terms import TermsChange

MOST_PAIRS = 1000


class NamesResolved(StrEnum):
    """Which projects owners may name by their names."""

    NONE = "none"
    OWN_DOMAIN = "own-domain"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRequest:
    """Each of the images is offered to each of the projects. A project is named by its id, its name, or `domain/name`.

    `make_shared`: private images become shared. `all_or_nothing`: no image is offered unless all can be.
    """

    image_ids: tuple[ImageID, ...]
    projects: tuple[str, ...]
    terms: TermsChange
    make_shared: bool = False
    all_or_nothing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferOutcome:
    """What became of one pair. `project` is as the request named it; `project_id` None: none was found, or looked for."""

    image_id: ImageID
    project: str
    project_id: ProjectID | None
    problem: problems.Problem | None = None


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The client's name of a request, and a digest of all that the request says."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the identity service."""

    id: ProjectID
    name: str
    domain_id: str
