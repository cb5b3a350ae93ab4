"""Share disk images between projects of any OpenStack cloud.

The functions take a connection of openstacksdk. They use the sharing API where the image endpoint has it (`GET /partage`), and
otherwise what Glance has: members of images.
"""

from partageclient.adoption import adopt, plan_adoption
from partageclient.claim_codes import claim, create_code, list_codes, revoke_code
from partageclient.errors import ClientError
from partageclient.image_events import list_events, watch_events
from partageclient.impacts import impact
from partageclient.offering import share
from partageclient.outcomes import Outcome
from partageclient.restoring import restore
from partageclient.shares import Share, Terms
from partageclient.sharing import accept, change_terms, find_share, inbox, leave, outbox, reject, unshare
from partageclient.transfers import choose_images, plan_transfer, transfer
from partageclient.trust_rules import list_rules, set_rule, unset_rule
from partageclient.uses import add_use, list_uses, remove_use

__all__ = [
    "ClientError",
    "Outcome",
    "Share",
    "Terms",
    "accept",
    "add_use",
    "adopt",
    "change_terms",
    "choose_images",
    "claim",
    "create_code",
    "find_share",
    "impact",
    "inbox",
    "leave",
    "list_codes",
    "list_events",
    "list_rules",
    "list_uses",
    "outbox",
    "plan_adoption",
    "plan_transfer",
    "reject",
    "remove_use",
    "restore",
    "revoke_code",
    "set_rule",
    "share",
    "transfer",
    "unset_rule",
    "unshare",
    "watch_events",
]
__version__ = "0.1.0"
