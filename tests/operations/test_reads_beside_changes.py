"""A transaction that writes sees, with each statement, what others have committed since the one before it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from partage.model.ids import ProjectID
from partage.model.use import UseKey, UseKind
from partage.operations.service import Service
from partage.operations.sharing import uses
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction
from tests.operations.sharing_worlds import MEMBER, set_visibility, share


def test_image_is_found_while_its_notice_is_cancelled(on_postgresql: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    image = share(on_postgresql)
    set_visibility(on_postgresql, image.id, "private")
    fetch = CompiledSelect.fetch_first

    def fetch_and_share_again(self: CompiledSelect, tx: Transaction, given: Mapping[str, object]) -> Sequence[Any] | None:
        row = fetch(self, tx, given)
        monkeypatch.setattr(CompiledSelect, "fetch_first", fetch)
        pool.submit(set_visibility, on_postgresql, image.id, "shared").result()
        return row

    key = UseKey(image_id=image.id, project_id=ProjectID("B"), kind=UseKind.SERVER, use_id="s1")
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(CompiledSelect, "fetch_first", fetch_and_share_again)
        assert uses.record_use(on_postgresql, MEMBER, key).key == key
