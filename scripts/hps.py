"""The WebUI's entry: the script "HPS", its always-visible twin, its part in Extras, and the callbacks.

What they do stands in lib_hps; all of them share one scorer.
"""

from __future__ import annotations

from modules import script_callbacks, scripts, scripts_postprocessing

from lib_hps.hosts.webui import (
    api,
    entry,
    extras,
    rank_board,
    rank_noise,
    saving,
    scorers,
    settings,
    tab,
    twin,
    widgets,
    xyz,
)
from lib_hps.hosts.webui.options import SCRIPT_TITLE

HOLDER = scorers.ScorerHolder()
BOARD = rank_board.make_board(HOLDER)


class HpsScript(scripts.Script):
    """The selectable script: sorts a generation, ranks round after round, or draws from a recipe."""

    def title(self):
        """As the dropdown and `script_name` of the API have it."""
        return SCRIPT_TITLE

    def show(self, is_img2img):
        """In both tabs."""
        return True

    def ui(self, is_img2img):
        """One component per option."""
        components, self.infotext_fields = widgets.build_form(
            self.elem_id, scorers=scorers.choices, default_scorer=scorers.default_scorer()
        )
        return components

    def run(self, p, *args):
        """The whole generation."""
        return entry.run(p, args, HOLDER, BOARD)


class HpsTwin(scripts.Script):
    """The always-visible twin: gets the hooks that a selectable script does not get. The API may hand it arguments."""

    create_group = False

    def title(self):
        """As `alwayson_scripts` of the API has it."""
        return "HPS score"

    def show(self, is_img2img):
        """Always, without anything to see."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        """Two hidden components: score this generation, and by whom (empty: as in the settings)."""
        return widgets.hidden_arguments(self.elem_id)

    def before_process(self, p, is_asked=False, scorer="", *_):
        """See `twin.start`."""
        twin.start(p, HOLDER, is_asked=bool(is_asked), scorer=scorer or "")

    def process_batch(self, p, *args, **kwargs):
        """For hosts without the hook below."""
        rank_noise.replace_rng(p)

    def process_before_every_sampling(self, p, *args, noise=None, **kwargs):
        """See `rank_noise.put_in`."""
        rank_noise.put_in(p, noise)

    def postprocess_batch(self, p, *args, batch_number=0, **kwargs):
        """See `twin.note_batch`."""
        twin.note_batch(p, batch_number)

    def postprocess_image(self, p, pp, *args):
        """For hosts without the hook below, and replaced by it elsewhere."""
        twin.note_image(p, pp)

    def postprocess_image_after_composite(self, p, pp, *args):
        """See `twin.note_image`."""
        twin.note_image(p, pp)

    def postprocess(self, p, processed, *args):
        """See `twin.finish`."""
        twin.finish(p, processed, HOLDER)


class HpsPostprocessing(scripts_postprocessing.ScriptPostprocessing):
    """The part in Extras: the picture that comes out is scored."""

    name = extras.NAME
    order = extras.ORDER

    def ui(self):
        """The controls by name; the API knows them by these names too."""
        return extras.build_controls()

    def process_firstpass(self, pp, **_):
        """See `extras.note_prompt`."""
        extras.note_prompt(pp)

    def process(self, pp, enable=False, scorer="", prompt="", **_):
        """See `extras.score`."""
        extras.score(pp, HOLDER, is_asked=bool(enable), scorer=scorer or "", prompt=prompt or "")


def _unload():
    saving.remove_patterns()
    HOLDER.unload()


saving.add_patterns()
script_callbacks.on_before_ui(lambda: xyz.add_axes(scripts.scripts_data))
script_callbacks.on_ui_settings(settings.add_settings)
script_callbacks.on_ui_tabs(lambda: tab.build_tab(HOLDER))
script_callbacks.on_app_started(lambda demo, app: api.add_routes(app, HOLDER, BOARD))
script_callbacks.on_script_unloaded(_unload)
