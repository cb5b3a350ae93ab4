"""The section of the settings for maintenance jobs."""

from typing import Annotated

from pydantic import Field

from partage.main.configuration.sections import Count, Section


class MaintenanceSettings(Section):
    """Maintenance jobs: they run by themselves, one worker at a time for each, in the first process that finds them due."""

    enabled: Annotated[
        bool,
        Field(description="Run maintenance jobs on this host; where it is off on every host, run the commands from a timer"),
    ] = True
    sweep_interval_seconds: Annotated[
        Count, Field(description="Time between the starts of two sweeps (garbage collection); 0: no sweep by itself")
    ] = 3600
    verify_interval_seconds: Annotated[
        Count,
        Field(description="Time between the starts of two verifications (scrubs) of all stored data; 0: none by itself"),
    ] = 7 * 86_400
    verify_bytes_per_second: Annotated[
        Count, Field(description="Rate limit of the verification, in bytes of image data; 0: no limit")
    ] = 16 << 20
    expiry_interval_seconds: Annotated[
        Count,
        Field(description="Time between two removals of expired rows: notices, deleted images, events, tasks; 0: none by itself"),
    ] = 60
