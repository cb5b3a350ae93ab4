"""Metadata definitions in JSON files: those that come with Partage, those of the package glance, and an operator's own."""

import json
from importlib import metadata
from pathlib import Path

from partage import problems
from partage.model import metadef
from partage.model.caller import Caller
from partage.model.ids import UserID
from partage.operations import metadefs
from partage.operations.service import Service

OWN = Path(__file__).parent / "metadata_definitions"
"""What Nova's common properties of images mean, for the panels of Horizon. Source: Nova, `nova/objects/image_meta.py`."""


def load(service: Service, directory: Path) -> tuple[int, int]:
    """Create the namespaces in the JSON files of a directory; return how many were created, and how many files there are.

    Namespaces that exist stay unchanged.

    Raises:
        Invalid: there are no such files, or one of them is invalid.
    """
    files = sorted(directory.glob("*.json")) if directory.is_dir() else []
    if not files:
        raise problems.Invalid(f"{directory} has no JSON files; name a directory of metadata definitions with --from")
    return sum(_load_namespace(service, file) for file in files), len(files)


def find_glances() -> Path:
    """Find the directory of the files in the package glance.

    Raises:
        Invalid: the package is not installed, or has none.
    """
    try:
        files = metadata.files("glance") or []
    except metadata.PackageNotFoundError as error:
        raise problems.Invalid(
            "The package glance, which contains metadata definitions, is not installed; install it, name a directory with --from, "
            "or create those that come with Partage with --own",
        ) from error
    shipped = next((each for each in files if each.parent.name == "metadefs" and each.suffix == ".json"), None)
    if shipped is None:
        raise problems.Invalid("The installed package glance has no metadata definitions; name a directory with --from")
    return Path(str(shipped.locate())).parent.resolve()


def _load_namespace(service: Service, file: Path) -> bool:
    operator = Caller(user_id=UserID("operator"), project_id=None, roles=frozenset({"admin", "member", "reader"}), is_admin=True)
    try:
        new = metadef.parse_namespace(json.loads(file.read_text()), now=service.clock())
        metadefs.create_namespace(service, operator, new)
    except problems.MetadefExists:
        return False
    except (problems.Problem, ValueError) as error:
        raise problems.Invalid(f"The metadata definitions in {file} are invalid: {error}") from error
    return True
