"""The only module that calls oslo.policy. Operations call `authority.require(caller, RULE, target)`."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from oslo_config import cfg
from oslo_policy import opts, policy

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.image import Image, Visibility
from partage.model.metadef import Namespace
from partage.model.share import Share
from partage.policies import cache, checks, images, locations, members, metadefs, policy_file, sharing, stores, tasks

RULES = [
    *checks.ROLES,
    *images.RULES,
    *locations.RULES,
    *members.RULES,
    *metadefs.RULES,
    *stores.RULES,
    *tasks.RULES,
    *cache.RULES,
    *sharing.RULES,
]

Target = Mapping[str, object]

_LOG = logging.getLogger(__name__)


_CACHED_DECISIONS = 10_000


class Authority:
    """The policy rules in force: the defaults, overridden by the operator's policy file, which is read again when it changes.

    If a changed file is invalid, the previous rules stay in force, and the log says so once for each change.

    Decisions are cached, because oslo.policy takes 0.1 ms. The key is the caller, the rule, and those attributes of the target that
    any rule in force uses. Decisions of rules that call another server are not cached.

    Thread-safe: the rules and their cached decisions are one object, which is replaced as a whole.
    """

    def __init__(self, file: Path | None = None, *, on_require: Callable[[str], None] | None = None) -> None:
        """Load the rules. `on_require` is called with the name of every required rule (for tests).

        Raises:
            Unavailable: the policy file cannot be read or parsed. No default replaces an invalid rule.
        """
        self._on_require = on_require
        self._file = None if file is None else file.absolute()
        self._stamp = None if self._file is None else policy_file.stamp_of(self._file)
        self._decisions = _Decisions(self._file)

    @property
    def hides_images(self) -> bool:
        """Whether the operator's `get_image` rule may hide images that the query finds."""
        return self._current().hides_images

    def is_admin(self, caller: Caller) -> bool:
        """Whether the caller is an administrator of the cloud."""
        return self.allows(caller, checks.CONTEXT_IS_ADMIN, {})

    def defines(self, rule: str) -> bool:
        """Whether there is a rule with that name. oslo.policy decides undefined rules by the rule `default`."""
        return rule in self._current().rules

    def allows(self, caller: Caller, rule: str, target: Target) -> bool:
        """Whether the rule permits the caller to act on the target. Tokens of another scope are not permitted."""
        decisions = self._current()
        key = (caller, rule, *[target.get(name) for name in decisions.attributes])
        cached = decisions.cache.get(key)
        if cached is not None:
            return cached
        decided = bool(decisions.enforcer.enforce(rule, target, _credentials(caller)))
        if decisions.can_cache:
            if len(decisions.cache) >= _CACHED_DECISIONS:
                decisions.cache.clear()
            decisions.cache[key] = decided
        return decided

    def require(self, caller: Caller, rule: str, target: Target) -> None:
        """Check the rule.

        Raises:
            PolicyForbids: the rule does not permit the caller to act on the target.
        """
        if self._on_require is not None:
            self._on_require(rule)
        if not self.allows(caller, rule, target):
            raise problems.PolicyForbids(rule=rule)

    def list_unused_rules(self, also_known: Collection[str] = ()) -> list[str]:
        """List the rules of the policy file that are not used: misspelt, perhaps, or of another service."""
        known = {*(rule.name for rule in RULES), *also_known}
        return policy_file.list_unused(self._current().own, known)

    def _current(self) -> "_Decisions":
        if self._file is None:
            return self._decisions
        stamp = policy_file.stamp_of(self._file)
        if stamp != self._stamp:
            self._stamp = stamp  # first, so that an invalid file is read once
            try:
                self._decisions = _Decisions(self._file)
            except problems.Unavailable as problem:
                _LOG.error("%s; the rules that were read before stay in force", problem)
            else:
                _LOG.info("the policy file %s was read again", self._file)
        return self._decisions


class _Decisions:
    """One set of rules and its cached decisions."""

    def __init__(self, file: Path | None) -> None:
        """Load the rules.

        Raises:
            Unavailable: the policy file cannot be read or parsed.
        """
        self.own: Mapping[str, object] = {}
        if file is not None:
            self.own = policy_file.read(file)
            policy_file.check_references(file, self.own, {rule.name: rule.check_str for rule in RULES})
        self.enforcer = _enforcer(file)
        if {*self.enforcer.file_rules} != {*self.own}:
            raise problems.Unavailable(
                f"The policy file {file} changed while it was read, or another was read in its place; try again"
            )
        rules = self.enforcer.rules
        texts = [str(check) for check in rules.values()]
        self.rules = rules
        self.cache: dict[tuple[object, ...], bool] = {}
        self.attributes = sorted({name for text in texts for name in re.findall(r"%\((\w+)\)s", text)})
        self.can_cache = not any(re.search(r"\bhttps?:", text) for text in texts)
        self.hides_images = rules[images.GET_IMAGE] != _default_check(images.GET_IMAGE)


def image_target(caller: Caller, image: Image) -> Target:
    """Return the target of rules on an image.

    A caller that sees a shared image of another project is its member: the query has checked that.
    """
    is_member = image.visibility == "shared" and image.owner != caller.project_id
    return _target(image, caller.project_id if is_member else None)


def new_image_target(caller: Caller, visibility: Visibility) -> Target:
    """Return the target of rules on an image that the caller's project is about to have."""
    return {**project_target(caller.project_id), "visibility": visibility.value}


def member_target(image: Image, member_id: ProjectID) -> Target:
    """Return the target of rules on a membership. An owner is not its own member, even if there is such a row."""
    return _target(image, None if member_id == image.owner else member_id)


def share_target(share: Share) -> Target:
    """Describe a share to the rules. A project that has deleted the image is its owner until the share ends."""
    return member_target(replace(share.image, owner=share.owner_id), share.member_id)


def namespace_target(namespace: Namespace) -> Target:
    """Return the target of rules on a namespace of metadata definitions."""
    return {
        "project_id": namespace.owner,
        "owner": namespace.owner,
        "visibility": "public" if namespace.public else "private",
    }


def project_target(project_id: ProjectID | None) -> Target:
    """Return the target of rules on a project."""
    return {"project_id": project_id, "owner": project_id}


def _target(image: Image, member_id: ProjectID | None) -> Target:
    return {
        "project_id": image.owner,
        "owner": image.owner,
        "member_id": member_id,
        "visibility": image.visibility.value,
        "protected": image.protected,
        "image_id": image.id,
        "status": image.status.value,
        "name": image.name,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "os_hidden": image.os_hidden,
    }


def _credentials(caller: Caller) -> dict[str, object]:
    given: dict[str, object] = {
        "user_id": caller.user_id,
        "project_id": caller.project_id,
        "roles": sorted(caller.roles),
        "service_roles": sorted(caller.service_roles),
        "is_admin": caller.is_admin,
    }
    if caller.is_anonymous:
        given["is_anonymous"] = True
    if caller.system_scope:
        given["system_scope"] = caller.system_scope
    if caller.domain_id:
        given["domain_id"] = caller.domain_id
    return given


def _enforcer(file: Path | None) -> policy.Enforcer:
    conf = cfg.ConfigOpts()
    conf([], project="partage", default_config_files=[])
    opts.set_defaults(conf, policy_file=str(file or os.devnull), enforce_scope=True, enforce_new_defaults=True)
    conf.set_override("policy_dirs", [], group="oslo_policy")
    enforcer = policy.Enforcer(conf)
    enforcer.suppress_default_change_warnings = True
    enforcer.register_defaults(RULES)
    try:
        enforcer.load_rules(force_reload=True)
        enforcer.check_rules(raise_on_violation=True)
    except (ValueError, OSError, cfg.Error, policy.InvalidDefinitionError) as error:
        raise problems.Unavailable(f"The policy file {file} cannot be used: {' '.join(str(error).split())}") from error
    enforcer.use_conf = False  # this module detects changes of the file itself
    return enforcer


def _default_check(name: str) -> object:
    return next(rule.check for rule in RULES if rule.name == name)
