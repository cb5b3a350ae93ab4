"""The section of settings for notifications of other services, to which `partage worker` listens."""

from typing import Annotated

from pydantic import Field, SecretStr

from partage.main.configuration.sections import Section


class ListenerSettings(Section):
    """Notifications of other services, received with oslo.messaging."""

    transport_url: Annotated[
        SecretStr,
        Field(
            description="The transport URL of the message bus of Keystone, Nova and Cinder, such as "
            "rabbit://user:password@host:5672/; empty: partage worker listens to no notifications"
        ),
    ] = SecretStr("")
    pool: Annotated[
        str, Field(min_length=1, description="The pool of all workers, a queue of its own: other consumers get every message too")
    ] = "partage"
    keystone_exchange: Annotated[str, Field(description="The exchange of Keystone's notifications, its control_exchange")] = (
        "keystone"
    )
    keystone_topics: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="The topics of Keystone's notifications"),
    ] = ("notifications",)
    nova_exchange: Annotated[str, Field(description="The exchange of Nova's notifications, its control_exchange")] = "nova"
    nova_topics: Annotated[tuple[str, ...], Field(description="The topics of Nova's notifications, versioned and legacy")] = (
        "versioned_notifications",
        "notifications",
    )
    cinder_exchange: Annotated[str, Field(description="The exchange of Cinder's notifications, its control_exchange")] = "cinder"
    cinder_topics: Annotated[tuple[str, ...], Field(description="The topics of Cinder's notifications")] = ("notifications",)
