from __future__ import annotations

from collections.abc import Iterator

import pytest
from webui_server import BUNDLED, WebUI, find_root, running


@pytest.fixture(scope="session")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    root = find_root()
    if not (BUNDLED / "tiny-sd" / "tiny-sd.safetensors").is_file():
        pytest.skip("the bundled tiny-sd is not here")
    with running(root, tmp_path_factory.mktemp("webui")) as server:
        yield server
