"""The environment that has Nova and Cinder. `make compat` makes it, and PARTAGE_COMPAT_SERVICES names it."""

import os
from pathlib import Path

import pytest

ENVIRONMENT = "PARTAGE_COMPAT_SERVICES"


@pytest.fixture(scope="module")
def python() -> Path:
    """Give the interpreter that has Nova and Cinder."""
    named = os.environ.get(ENVIRONMENT)
    if not named:
        pytest.skip(f"{ENVIRONMENT} does not say where Nova and Cinder are installed; make compat does")
    return Path(named).absolute() / "bin" / "python"
