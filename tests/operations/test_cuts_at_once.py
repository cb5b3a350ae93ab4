"""Two processes that cut the same content at the same time: both succeed, and its manifest is there once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from partage.model.ids import ImageID
from partage.operations import cutting, ingest
from partage.operations.service import Service
from partage.stores.originals.files import OriginalFiles
from tests import glance_world
from tests.operations import services
from tests.operations.test_taking_over import DATA, take

_TO_BLOCK_SECONDS = 0.5


def test_content_that_two_processes_cut_is_cut_once(
    on_postgresql: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glance = glance_world.make_glance(tmp_path / "glance")
    service = services.builder.change_service(on_postgresql, originals={"fast": OriginalFiles([glance.folder / "images"])})
    image_id = ImageID(glance.add_image(DATA))
    take(service, glance)
    require = ingest.require_chunks

    def require_late(*given: object) -> None:
        time.sleep(_TO_BLOCK_SECONDS)  # so that the other one comes to its transaction meanwhile
        require(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "require_chunks", require_late)
    content_id = next(cutting.list_uncut(service))
    both_have_read = threading.Barrier(2)
    read_bytes = threading.local()

    def pace(size_bytes: int) -> None:
        read_bytes.sum = getattr(read_bytes, "sum", 0) + size_bytes
        if read_bytes.sum == len(DATA):
            both_have_read.wait(10)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _number: cutting.try_cut(service, content_id, pace), range(2))) == ["", ""]
    assert cutting.measure_progress(service).cut_contents == 1
    assert services.download(service, image_id) == DATA
