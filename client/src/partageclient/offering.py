"""Offer images to projects, and accept for the other side where its credentials are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from openstack.connection import Connection

from partageclient import backends, errors, images, parallel, projects
from partageclient.connections import Cloud, as_cloud
from partageclient.images import Image
from partageclient.outcomes import FAILED, Outcome
from partageclient.projects import Project
from partageclient.shares import Terms

_NO_TERMS = Terms()
_FIND = "Find the projects to share with"


def share(
    conn: Connection | Cloud,
    given: Sequence[str],
    recipients: Sequence[str] = (),
    *,
    terms: Terms = _NO_TERMS,
    make_shared: bool = True,
    accept_as: Sequence[Connection | Cloud] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: parallel.Progress | None = None,
) -> list[Outcome]:
    """Offer images (ids or names) to projects (ids, names or profiles of clouds.yaml); return an outcome for each pair.

    A private image is made shared, unless `make_shared` is false. What is offered already stays as it is, so that the same call can
    be made again. A connection in `accept_as` accepts for its project, which need not be among the recipients, and shows the image
    as the proof. `force` does not check projects. With `dry_run` nothing is changed, and outcomes say what would be done.

    Raises:
        Invalid, NotFound, Ambiguous: a project cannot be right; nothing was changed.
        Unsupported: terms are given, and the image service cannot keep them.
        Interrupted: Ctrl-C was pressed; its results are the outcomes of the pairs that were begun.
        ClientError: the cloud does not answer.
    """
    cloud = as_cloud(conn)
    backend = backends.choose(cloud)
    backend.check_terms(terms)
    acceptors = {each.project_id: each for each in map(as_cloud, accept_as)}
    targets = _find_projects(cloud, recipients, acceptors, force=force)
    found = dict(zip(given, parallel.read(lambda text: _find_image(cloud, text), given), strict=True))
    images_found = {str(each["id"]): each for each in found.values() if not isinstance(each, errors.ClientError)}
    missing = [
        Outcome(text, project.given, "", project.id, result=FAILED, problem=problem)
        for text, problem in found.items()
        if isinstance(problem, errors.ClientError)
        for project in targets
    ]
    if dry_run:
        return backend.preview_offers(list(images_found.values()), targets, make_shared=make_shared) + missing
    offered = backend.offer(list(images_found.values()), targets, terms, make_shared=make_shared, force=force, progress=progress)
    return [*_accept_all(cloud, offered, acceptors), *missing]


def _find_projects(cloud: Cloud, texts: Sequence[str], acceptors: Mapping[str, Cloud], *, force: bool) -> list[Project]:
    """Find all recipients, or none: all that are wrong are named in one error."""
    wrong, found = list[str](), dict[str, Project]()

    def find(text: str) -> Project | errors.ClientError:
        try:
            return projects.resolve(cloud, text, force=force)
        except (errors.Invalid, errors.NotFound, errors.Ambiguous) as problem:
            return problem

    for each in parallel.read(find, list(dict.fromkeys(texts))):
        if isinstance(each, errors.ClientError):
            wrong.append(str(each))
        elif each.id == cloud.project_id and not force:
            wrong.append(f"Project {each.given} is your own: an image is shared with other projects.")
        else:
            found.setdefault(each.id or each.given, each)
    if wrong:
        raise errors.Invalid(_FIND, "nothing was changed", " ".join(wrong))
    if not texts:
        found = {project_id: Project(each.name or project_id, project_id) for project_id, each in acceptors.items()}
    if not found:
        raise errors.Invalid(_FIND, "none is named", "Name projects (--project), or profiles that accept (--accept-as)")
    _check_acceptors(cloud, found, acceptors)
    return list(found.values())


def _check_acceptors(cloud: Cloud, found: Mapping[str, Project], acceptors: Mapping[str, Cloud]) -> None:
    """Check that each profile that accepts is of a recipient, as far as the ids of the recipients are known."""
    strangers = [each for each in acceptors if each not in found] if all(each.id for each in found.values()) else []
    if strangers:
        names = ", ".join(f"{acceptors[each].name} (project {each})" for each in strangers)
        raise errors.Invalid(_FIND, f"{names} would accept, but is no recipient", "Add it with --project, or leave out --project")
    if cloud.project_id in acceptors:
        raise errors.Invalid(_FIND, "the profile that would accept is of your own project", "Name a profile of the other project")


def _find_image(cloud: Cloud, text: str) -> Image | errors.ClientError:
    try:
        return images.find_image(cloud, text)
    except (errors.NotFound, errors.Ambiguous) as problem:
        return problem


def _accept_all(cloud: Cloud, offered: Sequence[Outcome], acceptors: Mapping[str, Cloud]) -> list[Outcome]:
    """Accept offers as their members; return the outcomes of all.

    Raises:
        Interrupted: Ctrl-C was pressed; it has all outcomes, because all of them are offered.
    """
    try:
        return parallel.run(lambda outcome: _accept(cloud, outcome, acceptors), offered)
    except errors.Interrupted as interrupt:
        accepted = {(each.image_id, each.project_id): each for each in interrupt.results if isinstance(each, Outcome)}
        rows: list[object] = [accepted.get((each.image_id, each.project_id), each) for each in offered]
        raise errors.Interrupted(rows, 0) from interrupt


def _accept(cloud: Cloud, outcome: Outcome, acceptors: Mapping[str, Cloud]) -> Outcome:
    """Accept an offer as the member, and prove it: the member shows the image."""
    member = acceptors.get(outcome.project_id)
    if member is None or outcome.problem is not None:
        return outcome
    try:
        [answer] = backends.choose(member).answer([outcome.image_id], "accepted")
        if answer.problem is not None:
            raise answer.problem
        seen = images.find_image(member, outcome.image_id)
    except errors.ClientError as problem:
        where = f"The profile {member.name} uses the image service at {member.image_url}, you use that at {cloud.image_url}"
        remedy = " ".join(each for each in (problem.remedy, where if member.image_url != cloud.image_url else "") if each)
        return replace(outcome, result=FAILED, problem=type(problem)(problem.asked, problem.obstacle, remedy))
    return replace(outcome, status=answer.status, result=f"accepted, member sees it {seen['status']}")
