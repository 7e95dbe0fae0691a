"""What the extension costs in a real WebUI: seconds of its start, and time of a rerank beyond drawing and judging.

    python benchmarks/webui.py --starts 5 --runs 5

Needs what the WebUI tests need (see CONTRIBUTING.md) on a machine that does nothing else. The starts alternate between
with and without the extension; the overhead of a rerank is its time, less the median time of the same generation
without the script, less what the scorer's own forward takes, in per cent of the generation.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "webui")]

from webui_runs import PLAIN, REQUEST  # noqa: E402
from webui_server import WebUI, find_root, running  # noqa: E402

_STARTUP = re.compile(r"Startup time: ([\d.]+)s")


def seconds_of_start(*, with_extension: bool) -> tuple[float, dict[str, float]]:
    """What the WebUI itself says of its start, and what its profile says of our files."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        flags = [] if with_extension else ["--disable-extra-extensions"]
        with running(find_root(), data, *flags) as server:
            total = float(_STARTUP.findall(server.log.read_text())[-1])
            records = server.get("/internal/profile-startup")["records"]
    return total, {name: s for name, s in records.items() if "hps" in name.lower()}


def seconds(server: WebUI, **more: object) -> float:
    """Of one request, the answer included."""
    began = time.perf_counter()
    server.post("/sdapi/v1/txt2img", {**REQUEST, "send_images": False, **more})
    return time.perf_counter() - began


def overhead(runs: int, *, steps: int, size_px: int) -> str:
    """The share of a rerank that is neither drawing nor judging."""
    from PIL import Image
    from webui_runs import encode

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with running(find_root(), data) as server:
            common = {"steps": steps, "width": size_px, "height": size_px, "n_iter": 4, "batch_size": 2}
            script = {"script_name": "HPS", "script_args": list(PLAIN.values())}
            pictures = [encode(Image.new("RGB", (size_px, size_px), (i * 20, 90, 90))) for i in range(8)]
            judged = {"images": pictures, "prompt": "red heart", "scorer": "tiny-hps"}
            plain, rerank, judging = [], [], []
            for turn in range(runs + 1):  # the first warms up
                measured = seconds(server, **common), seconds(server, **common, **script)
                began = time.perf_counter()
                server.post("/hps/v1/score", judged)
                if turn:
                    plain.append(measured[0])
                    rerank.append(measured[1])
                    judging.append(time.perf_counter() - began)
    drawn, sorted_, scored = (statistics.median(values) for values in (plain, rerank, judging))
    rest = sorted_ - drawn - scored
    return (
        f"8 pictures of {size_px} px, {steps} steps: drawing {drawn:.3f} s, with the script {sorted_:.3f} s, judging "
        f"{scored:.3f} s, the rest {rest:+.3f} s ({100 * rest / drawn:+.1f} %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5, help="starts with, and as many without")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    arguments = parser.parse_args()
    print(overhead(arguments.runs, steps=arguments.steps, size_px=arguments.size), flush=True)
    found: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * arguments.starts):
        total, records = seconds_of_start(with_extension=turn % 2 == 0)
        found[turn % 2 == 0].append(total)
        print(f"start {'with' if turn % 2 == 0 else 'without'}: {total:.1f} s {records}", flush=True)
    if found[True] and found[False]:
        more = statistics.median(found[True]) - statistics.median(found[False])
        print(f"start: {more:+.2f} s by the medians of {arguments.starts}")


if __name__ == "__main__":
    main()
