"""The sections of the settings for health checks, metrics and traces."""

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from partage.main.configuration.sections import Section


class HealthcheckSettings(Section):
    """The health check at /healthcheck."""

    disable_by_file_path: Annotated[
        str,
        Field(description="While this file exists, /healthcheck responds with 503, and proxies send no requests; empty: no file"),
    ] = ""


class MetricsSettings(Section):
    """Metrics for Prometheus, on an address of their own and without tokens."""

    host: Annotated[str, Field(description="The address of the page /metrics; reading it needs no token")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="The port of the metrics of partage serve and partage up; 0: no metrics")
    ] = 0
    worker_port: Annotated[int, Field(ge=0, le=65535, description="The port of the metrics of partage worker; 0: no metrics")] = 0
    sizes_seconds: Annotated[
        float, Field(ge=1, description="Sums over all images, chunks and packs are read again after this time")
    ] = 300.0


class TracingSettings(Section):
    """Traces of requests and imports, for a receiver of OpenTelemetry."""

    endpoint: Annotated[
        SecretStr,
        Field(description="The URL that takes traces by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty: no traces"),
    ] = SecretStr("")
    service_name: Annotated[str, Field(min_length=1, description="The name of this service in traces")] = "partage"
    sample_ratio: Annotated[
        float,
        Field(ge=0, le=1, description="The part of the traces that is kept, if the caller has not decided for its own"),
    ] = 1.0

    @field_validator("endpoint")
    @classmethod
    def _require_url(cls, endpoint: SecretStr) -> SecretStr:
        if not re.fullmatch("(https?://.+)?", endpoint.get_secret_value()):
            raise ValueError("must be an http or https URL, or empty")
        return endpoint
