"""The X/Y/Z plot's own axis: each cell is scored by the scorer of its column."""

from __future__ import annotations

from test_rerank_script import PLAIN, Run, pytestmark  # noqa: F401 - the same conditions
from webui_server import WebUI

from lib_hps.infotext import parse_infotext


def test_cells_are_scored_by_the_scorer_of_their_column(webui: WebUI) -> None:
    info = next(s for s in webui.get("/sdapi/v1/script-info") if s["name"] == "x/y/z plot" and not s["is_img2img"])
    labels = next(a["choices"] for a in info["args"] if a["label"] == "X type")
    args = [argument.get("value") for argument in info["args"]]
    args[0], args[2] = labels.index("[HPS] Scorer"), ["tiny-hps", "tiny-holdout"]
    args[3] = args[6] = labels.index("Nothing")
    include_lone = next(i for i, a in enumerate(info["args"]) if a["label"] == "Include Sub Images")
    args[include_lone] = True
    run = Run(webui, n_iter=1, batch_size=1, script_name="X/Y/Z plot", script_args=args)
    cells = [parse_infotext(text) for text in run.info["infotexts"]]
    assert {"tiny-hps", "tiny-holdout"} <= {cell.settings.get("HPS scorer") for cell in cells}
    assert PLAIN["scorer"] == "tiny-hps"
