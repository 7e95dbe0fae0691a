"""A real AUTOMATIC1111 WebUI for the tests: found, started on a data folder of its own, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BUNDLED = Path(__file__).parents[2] / "lib_hps" / "bundled"
START_TIMEOUT_S = 400
PATIENCE_S = 240
FLAGS = [
    "--skip-prepare-environment",
    "--skip-install",
    "--skip-python-version-check",
    "--skip-torch-cuda-test",
    "--skip-version-check",
    "--use-cpu",
    "all",
    "--no-half",
    "--precision",
    "full",
    "--api",
    "--no-download-sd-model",
    "--do-not-download-clip",
    "--disable-console-progressbars",
]


def find_root() -> Path:
    """`SD_WEBUI_ROOT`, else the usual place in the home folder.

    Raises:
        pytest.skip.Exception: there is none.
    """
    root = Path(os.environ.get("SD_WEBUI_ROOT") or Path.home() / "stable-diffusion-webui")
    if not (root / "launch.py").is_file() or not (root / "venv" / "bin" / "python").is_file():
        pytest.skip(f"no WebUI with a venv in {root}: set SD_WEBUI_ROOT to run the WebUI tests")
    return root


@dataclass
class WebUI:
    """A running server."""

    url: str
    data: Path
    log: Path
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, body: dict) -> dict:
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers=self.headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def script_info(self, name: str, *, is_img2img: bool = False) -> dict[str, Any]:
        """What the API says of one script."""
        known = self.get("/sdapi/v1/script-info")
        return next(script for script in known if script["name"] == name and script["is_img2img"] == is_img2img)


def place_checkpoint(data: Path) -> None:
    """Lay the bundled tiny-sd into the data folder, twice; the yaml needs the full path of the text encoder."""
    models = data / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    source = BUNDLED / "tiny-sd"
    yaml = (source / "tiny-sd.yaml").read_text()
    assert "version: text_encoder" in yaml
    yaml = yaml.replace("version: text_encoder", f"version: {source / 'text_encoder'}")
    for name in ("tiny-sd", "tiny-sd_refiner"):  # A1111 refines with another file only
        (models / f"{name}.safetensors").symlink_to(source / "tiny-sd.safetensors")
        (models / f"{name}.yaml").write_text(yaml)


def place_extension(data: Path) -> None:
    """Lay this repository into the data folder's extensions, as a clone would lie there, and another one beside it."""
    (data / "extensions").mkdir()
    (data / "extensions" / "sd-webui-hps").symlink_to(BUNDLED.parents[1])
    (data / "extensions" / "zz-tester").symlink_to(Path(__file__).with_name("tester_extension"))


def place_settings(data: Path) -> None:
    """A style, and settings as somebody saved them: A1111 1.10.1 forgets to restore an overridden one that was not."""
    saved = {
        "samples_format": "png", "samples_filename_pattern": "", "save_images_add_number": True, "return_grid": True,
        "return_mask": False, "return_mask_composite": False, "save_mask": False, "hps_scorer": "tiny-hps",
        "hps_score_every_image": False, "hps_draw_score": False, "hps_file_suffix": False,
        "eta_noise_seed_delta": 0, "randn_source": "GPU", "show_progress_type": "Approx NN",
        "img2img_color_correction": False, "save_images_before_color_correction": False,
    }  # fmt: skip
    (data / "config.json").write_text(json.dumps(saved))
    (data / "styles.csv").write_text('name,prompt,negative_prompt\nNoto,"{prompt}, noto style",dark\n')


class Server:
    """The WebUI in `root` on the data folder `data`, with this extension and checkpoint; the data stays between starts.

    Args:
        hub: address of a hub for downloads; without it there are none.
    """

    def __init__(self, root: Path, data: Path, *more_flags: str, hub: str = "") -> None:
        if not (BUNDLED / "tiny-sd" / "tiny-sd.safetensors").is_file():
            pytest.skip("the bundled tiny-sd is not here")
        place_checkpoint(data)
        place_extension(data)
        place_settings(data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.root, self.log = root, data / "server.log"
        self.webui = WebUI(url=f"http://127.0.0.1:{self._port}", data=data, log=self.log)
        self._command = [str(root / "venv/bin/python"), "launch.py", *FLAGS, *more_flags]
        self._command += ["--data-dir", str(data), "--port", str(self._port)]
        downloads = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"} if hub else {"HF_HUB_OFFLINE": "1"}
        # a home of its own: no weights of this machine's user, and none left behind
        own = {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(data / "cache-home")}
        self._environment = {**os.environ, **downloads, **own}
        self._environment.pop("HPS_DIR", None)
        self._environment.pop("PYTHONPATH", None)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WebUI:
        """Start it, and wait until it answers."""
        with open(self.log, "wb") as stream:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.root,
                env=self._environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the WebUI did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.5)
        return self.webui

    def _answers(self) -> bool:
        """Its pages and API are there, and it listens: with `--nowebui` it says "Startup time" before it does."""
        if "Startup time" not in self.log.read_text(errors="replace"):
            return False
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL: no goodbye, as in a power cut."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)

    def stop(self) -> None:
        """Leave nothing running."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running(root: Path, data: Path, *more_flags: str, hub: str = "") -> Iterator[WebUI]:
    """Start a `Server`, and stop it again."""
    server = Server(root, data, *more_flags, hub=hub)
    try:
        yield server.start()
    finally:
        server.stop()
