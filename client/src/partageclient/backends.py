"""The two ways to share: with the sharing API (`served`), or with images and members alone (`plain`)."""

from collections.abc import Sequence
from typing import Protocol

from partageclient.connections import Cloud
from partageclient.images import Image
from partageclient.outcomes import Outcome
from partageclient.parallel import Progress
from partageclient.plain import PlainSharing
from partageclient.projects import Project
from partageclient.served import ServedSharing
from partageclient.shares import Share, Terms


class Sharing(Protocol):
    """What both kinds of image services can do. Changes of several things return an outcome for each, and go on after errors."""

    def check_terms(self, terms: Terms) -> None:
        """Raise Unsupported if the service cannot promise terms and some are given."""

    def list_received(self, *, status: str | None = None, owner: str | None = None) -> list[Share]:
        """List what the project has received."""

    def list_offered(
        self, *, status: str | None = None, member: str | None = None, progress: Progress | None = None
    ) -> list[Share]:
        """List what the project offers."""

    def list_of_image(self, image_id: str) -> list[Share]:
        """List the shares of one image that the project may see: all of an own image, and its own of another one."""

    def preview_offers(self, given: Sequence[Image], projects: Sequence[Project], *, make_shared: bool) -> list[Outcome]:
        """Return what `offer` would do; change nothing."""

    def offer(
        self,
        given: Sequence[Image],
        projects: Sequence[Project],
        terms: Terms,
        *,
        make_shared: bool,
        force: bool,
        progress: Progress | None,
    ) -> list[Outcome]:
        """Offer each image to each project."""

    def answer(self, image_ids: Sequence[str], status: str, *, progress: Progress | None = None) -> list[Outcome]:
        """Accept or reject the offers of these images."""

    def leave(self, image_ids: Sequence[str], *, progress: Progress | None = None) -> list[Outcome]:
        """Give up the shares of these images."""

    def end(self, pairs: Sequence[tuple[str, str]], *, progress: Progress | None = None) -> list[Outcome]:
        """End the shares of these images with these members."""

    def change_terms(self, image_id: str, member_id: str, terms: Terms) -> Share:
        """Change what is promised."""


def choose(cloud: Cloud) -> Sharing:
    """Return the way to share that the cloud has.

    Raises:
        ClientError: the image service does not answer.
    """
    return ServedSharing(cloud) if cloud.features.has_sharing_api else PlainSharing(cloud)
