"""What schemathesis has to be told: that JSON patches are JSON. It loads this file because SCHEMATHESIS_HOOKS names it."""

import schemathesis

from partage.http.errors import PATCH_TYPES

schemathesis.serializer.alias(list(PATCH_TYPES), "application/json")
