"""Lists of shares, answers to offers, endings and terms: what commands are made of, and what programs call with a connection."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from openstack.connection import Connection

from partageclient import backends, errors, images, parallel, projects
from partageclient.connections import Cloud, as_cloud
from partageclient.outcomes import FAILED, Outcome
from partageclient.shares import Share, Terms

WOULD_END = "would end"
_LEAST_PREFIX = 4
_MOST_NAMED = 5


def inbox(conn: Connection | Cloud, *, status: str | None = None, owner: str | None = None) -> list[Share]:
    """List the shares that the project of the connection has received.

    `status` is pending, accepted or rejected; `owner` the id of the project that offers.

    Raises:
        ClientError: the cloud does not answer, or refuses.
    """
    return backends.choose(as_cloud(conn)).list_received(status=status, owner=owner)


def outbox(
    conn: Connection | Cloud, *, status: str | None = None, member: str | None = None, progress: parallel.Progress | None = None
) -> list[Share]:
    """List the shares that the project of the connection offers. On plain Glance that is a request for each shared image.

    Raises:
        ClientError: the cloud does not answer, or refuses.
        Interrupted: Ctrl-C was pressed.
    """
    return backends.choose(as_cloud(conn)).list_offered(status=status, member=member, progress=progress)


def find_share(conn: Connection | Cloud, image: str, project: str | None = None) -> Share:
    """Find the share of an image (id or name): with a project, or the only one that there is.

    Raises:
        NotFound: there is none.
        Ambiguous: there are several, and no project is named.
    """
    cloud = as_cloud(conn)
    asked = f"Find the share of image {image}" + (f" with project {project}" if project else "")
    found = backends.choose(cloud).list_of_image(_find_image_id(cloud, image))
    if project is not None:
        member = _find_member(cloud, found, project, asked)
        found = [each for each in found if each.member_id == member]
    if not found:
        raise errors.NotFound(
            asked, "there is none that your project may see", "`openstack image share list --out` shows all that it offers"
        )
    if len(found) > 1:
        members = ", ".join(each.member_id for each in found[:_MOST_NAMED])
        raise errors.Ambiguous(
            asked,
            f"it is shared with {len(found)} projects ({members}{', …' if len(found) > _MOST_NAMED else ''})",
            "Name one: --project",
        )
    return found[0]


def accept(
    conn: Connection | Cloud, given: Sequence[str], *, dry_run: bool = False, progress: parallel.Progress | None = None
) -> list[Outcome]:
    """Accept the offers of images (ids or names); return an outcome for each.

    Raises:
        ClientError: the cloud does not answer.
        Interrupted: Ctrl-C was pressed.
    """
    return _answer(as_cloud(conn), given, "accepted", dry_run=dry_run, progress=progress)


def reject(
    conn: Connection | Cloud, given: Sequence[str], *, dry_run: bool = False, progress: parallel.Progress | None = None
) -> list[Outcome]:
    """Reject the offers of images (ids or names); return an outcome for each. It can be accepted later.

    Raises:
        ClientError: the cloud does not answer.
        Interrupted: Ctrl-C was pressed.
    """
    return _answer(as_cloud(conn), given, "rejected", dry_run=dry_run, progress=progress)


def leave(
    conn: Connection | Cloud, given: Sequence[str], *, dry_run: bool = False, progress: parallel.Progress | None = None
) -> list[Outcome]:
    """Give up shares of images (ids or names). On plain Glance they are rejected: only the owner can remove a member there.

    Raises:
        ClientError: the cloud does not answer.
        Interrupted: Ctrl-C was pressed.
    """
    cloud = as_cloud(conn)
    backend = backends.choose(cloud)
    return _act(cloud, given, "would be left" if dry_run else "", lambda ids: backend.leave(ids, progress=progress))


def unshare(
    conn: Connection | Cloud,
    image: str,
    recipients: Sequence[str],
    *,
    dry_run: bool = False,
    progress: parallel.Progress | None = None,
) -> list[Outcome]:
    """End the shares of an image (id or name) with projects (ids, their first digits, names or profiles).

    With the sharing API a member keeps access until its notice has run out, see `ends_at`. On plain Glance access ends at once.

    Raises:
        NotFound, Ambiguous: the image or a project is not found; nothing was changed.
        ClientError: the cloud does not answer.
        Interrupted: Ctrl-C was pressed.
    """
    cloud = as_cloud(conn)
    backend, asked = backends.choose(cloud), f"End shares of image {image}"
    image_id = _find_image_id(cloud, image)
    shares = {each.member_id: each for each in backend.list_of_image(image_id)} if not _are_ids(recipients) or dry_run else {}
    members = {_find_member(cloud, list(shares.values()), text, asked): text for text in recipients}
    if dry_run:
        found = [Outcome(image, text, image_id, member) for member, text in members.items()]
        return [
            replace(each, status=shares[each.project_id].status, result=WOULD_END)
            if each.project_id in shares
            else replace(each, result="no member")
            for each in found
        ]
    ended = backend.end([(image_id, member) for member in members], progress=progress)
    return [replace(each, image=image, project=members[each.project_id]) for each in ended]


def change_terms(conn: Connection | Cloud, image: str, project: str, terms: Terms) -> Share:
    """Change the terms of the share of an image (id or name) with a project; what is accepted can only be extended.

    Raises:
        Unsupported: the image service is plain Glance.
        NotFound, Ambiguous: there is no such share.
        Invalid, Conflict: the service refuses the terms.
    """
    cloud = as_cloud(conn)
    backend = backends.choose(cloud)
    if not cloud.features.has_sharing_api:
        return backend.change_terms(image, project, terms)
    found = find_share(cloud, image, project)
    return backend.change_terms(found.image_id, found.member_id, terms)


def _answer(cloud: Cloud, given: Sequence[str], status: str, *, dry_run: bool, progress: parallel.Progress | None) -> list[Outcome]:
    backend = backends.choose(cloud)
    return _act(cloud, given, f"would be {status}" if dry_run else "", lambda ids: backend.answer(ids, status, progress=progress))


def _act(cloud: Cloud, given: Sequence[str], instead: str, action: Callable[[Sequence[str]], list[Outcome]]) -> list[Outcome]:
    """Call an action with the ids of images; return outcomes with what the person wrote. `instead` is said for a dry run."""
    texts_given = list(dict.fromkeys(given))
    found = dict(zip(texts_given, parallel.read(lambda text: _try_to_find(cloud, text), texts_given), strict=True))
    texts = {image_id: text for text, image_id in found.items() if isinstance(image_id, str)}
    missing = [
        Outcome(text, cloud.name or cloud.project_id, result=FAILED, problem=problem)
        for text, problem in found.items()
        if isinstance(problem, errors.ClientError)
    ]
    done = _preview(cloud, list(texts), instead) if instead else action(list(texts))
    me = cloud.name or cloud.project_id
    return [replace(each, image=texts.get(each.image_id, each.image), project=me) for each in done] + missing


def _preview(cloud: Cloud, image_ids: Sequence[str], result: str) -> list[Outcome]:
    received = {each.image_id: each for each in backends.choose(cloud).list_received()}
    me, outcomes = cloud.project_id, list[Outcome]()
    for image_id in image_ids:
        outcome, share = Outcome(image_id, me, image_id, me), received.get(image_id)
        if share is None:
            problem = errors.NotFound(f"Find the offer of image {image_id}", "it is not offered to your project")
            outcomes.append(replace(outcome, result=FAILED, problem=problem))
        else:
            outcomes.append(replace(outcome, status=share.status, result=result))
    return outcomes


def _try_to_find(cloud: Cloud, text: str) -> str | errors.ClientError:
    try:
        return _find_image_id(cloud, text)
    except (errors.NotFound, errors.Ambiguous) as problem:
        return problem


def _find_image_id(cloud: Cloud, text: str) -> str:
    """Return the id of an image. An id is not asked for: shares outlive images."""
    return text if images.is_id(text) else str(images.find_image(cloud, text)["id"])


def _are_ids(texts: Sequence[str]) -> bool:
    return all(projects.is_id(each) for each in texts)


def _find_member(cloud: Cloud, shares: Sequence[Share], text: str, asked: str) -> str:
    """Return the id of a member: by its id, the first digits of it as tables show them, its name, or a profile."""
    if projects.is_id(text):
        return text
    prefix = text.rstrip("…")
    found = [
        each.member_id
        for each in shares
        if text == each.member_name or (len(prefix) >= _LEAST_PREFIX and each.member_id.startswith(prefix))
    ]
    if len(found) > 1:
        raise errors.Ambiguous(asked, f"{text} stands for {len(found)} of its members", "Give the whole id")
    if found:
        return found[0]
    resolved = projects.resolve(cloud, text)
    if not resolved.id:
        raise errors.NotFound(
            asked, f"none of its members is called {text}", "Give the id; `openstack image share list --out` shows it"
        )
    return resolved.id
