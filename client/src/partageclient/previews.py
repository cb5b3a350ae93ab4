"""What offers would do, without doing it: the same for both kinds of image services."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from partageclient import errors, images, parallel
from partageclient.images import Image
from partageclient.outcomes import FAILED, Outcome
from partageclient.projects import Project
from partageclient.shares import Share


def begin_outcome(image: Image, project: Project) -> Outcome:
    """Return what is known of a pair before anything is done."""
    return Outcome(str(image.get("name") or image["id"]), project.given, str(image["id"]), project.id)


def preview_offers(
    list_shares: Callable[[Image], list[Share]], given: Sequence[Image], projects: Sequence[Project], *, make_shared: bool
) -> list[Outcome]:
    """Return what offering each image to each project would do. `list_shares` lists the shares that an image has."""

    def preview_image(image: Image) -> list[Outcome]:
        begun = [begin_outcome(image, each) for each in projects]
        try:
            asked = f"Share image {image.get('name') or image['id']}"
            changes = images.needs_to_be_shared(image, asked, make_shared=make_shared)
            # members of a private image are no shares, and Glance does not list them
            answers = {each.member_id: each.status for each in ([] if changes else list_shares(image))}
        except errors.ClientError as problem:
            return [replace(each, result=FAILED, problem=problem) for each in begun]
        return [
            replace(
                each,
                status=answers.get(each.project_id, ""),
                result="unchanged" if each.project_id in answers else "would offer",
                was_made_shared=changes,
            )
            for each in begun
        ]

    return [each for part in parallel.read(preview_image, given) for each in part]
