"""Stores as users and administrators see them."""

from partage.model.caller import Caller
from partage.operations.service import NamedStore, Service
from partage.policies import authority
from partage.policies.stores import STORES_INFO_DETAIL


def list_stores(service: Service, caller: Caller) -> list[NamedStore]:
    """List the configured stores by name. Any valid token may; what is shown of each is the edge's choice."""
    del caller  # the API lets every caller with a token ask
    return [service.stores[store_id] for store_id in sorted(service.stores)]


def detail_stores(service: Service, caller: Caller) -> list[NamedStore]:
    """List the configured stores with how they are made.

    Raises:
        PolicyForbids: the caller is neither an administrator nor a service.
    """
    service.authority.require(caller, STORES_INFO_DETAIL, authority.of_project(caller.project_id))
    return list_stores(service, caller)
