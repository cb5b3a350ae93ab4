"""The section of the settings for a Glance that is, or was, taken over."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from partage.main.configuration.sections import Count, Section


class TakingOverSettings(Section):
    """A Glance that is taken over: image data that is still in its stores is read from there."""

    glance_config: Annotated[
        Path | None,
        Field(description="The glance-api.conf of the Glance; empty: there is none, or all of its image data is in chunks"),
    ] = None
    stores: Annotated[
        dict[str, str],
        Field(description="Which store stands for each store of the Glance, by name; others: the one of the same name"),
    ] = {}  # noqa: RUF012 - pydantic copies it
    cut_bytes_per_second: Annotated[
        Count,
        Field(description="Rate at which image data of the Glance is cut into chunks of this service; 0: it stays where it is"),
    ] = 16 << 20

    @field_validator("glance_config", mode="before")
    @classmethod
    def _drop_empty(cls, given: object) -> object:
        return given or None
