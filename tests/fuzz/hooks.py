"""What schemathesis has to be told: JSON patches are JSON, parts of uploads bytes. SCHEMATHESIS_HOOKS names this file."""

import schemathesis

from partage.http.errors import PATCH_TYPES
from partage.http.partage.partial_uploads import MEDIA_TYPE

schemathesis.serializer.alias(list(PATCH_TYPES), "application/json")
schemathesis.serializer.alias(MEDIA_TYPE, "application/octet-stream")
