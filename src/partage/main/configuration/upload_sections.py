"""The section of the settings for resumable uploads."""

from typing import Annotated

from pydantic import Field

from partage.main.configuration.sections import Section
from partage.model.partial_upload import PartialUploadRules

_RULES = PartialUploadRules()


class ResumableUploadSettings(Section):
    """Resumable uploads: image data that arrives in several requests."""

    per_project: Annotated[
        int,
        Field(ge=0, description="Maximum unfinished resumable uploads of one project; above it the response is 413; 0: no limit"),
    ] = _RULES.per_project
    idle_seconds: Annotated[
        float, Field(ge=60, description="An unfinished upload is removed when no byte has arrived for this time")
    ] = _RULES.idle.total_seconds()
