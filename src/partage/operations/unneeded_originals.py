"""Removes files of Glance that nothing reads any more: their content is in chunks, or was deleted here. Only when asked."""

from partage import problems
from partage.model.original import Original
from partage.operations.service import Service
from partage.records import originals


def list_unneeded(service: Service) -> list[Original]:
    """List the originals that nothing here reads any more.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        return [each for each in originals.list_unneeded(tx) if not originals.is_read_elsewhere(tx, each)]


def remove(service: Service, original: Original) -> str:
    """Remove an original that nothing reads any more; return why that is not possible, or nothing.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    reader = service.stores.originals.get(original.place)
    if reader is None:
        return f"taking_over.glance_config has no store {original.place}"
    try:
        reader.remove(original.url)
    except problems.Unavailable as problem:
        return problem.sentence()
    with service.database.write() as tx:
        originals.remove(tx, original)
    return ""
