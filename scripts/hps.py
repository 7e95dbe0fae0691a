"""The WebUI's entry: the script "HPS", its always-visible twin, and the callbacks. What they do stands in lib_hps."""

from __future__ import annotations

from modules import script_callbacks, scripts, shared

from lib_hps.hosts.webui import api, saving, scorers, settings, tab, twin, xyz
from lib_hps.hosts.webui.options import SCRIPT_TITLE, Options
from lib_hps.hosts.webui.run import Rerank
from lib_hps.hosts.webui.widgets import build_form

HOLDER = scorers.ScorerHolder()


class HpsScript(scripts.Script):
    """The selectable script: generate, judge, sort, keep the best."""

    def title(self):
        """As the dropdown and `script_name` of the API have it."""
        return SCRIPT_TITLE

    def show(self, is_img2img):
        """In both tabs."""
        return True

    def ui(self, is_img2img):
        """One component per option."""
        default = getattr(shared.opts, "hps_scorer", "") or Options().scorer
        components, self.infotext_fields = build_form(self.elem_id, scorers=scorers.choices, default_scorer=default)
        return components

    def run(self, p, *args):
        """The whole generation."""
        return Rerank(p, Options.from_args(args), HOLDER)()


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
        return tab.hidden_arguments(self.elem_id)

    def before_process(self, p, is_asked=False, scorer="", *_):
        """See `twin.start`."""
        twin.start(p, HOLDER, is_asked=bool(is_asked), scorer=scorer or "")

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


def _unload():
    saving.remove_patterns()
    HOLDER.unload()


saving.add_patterns()
script_callbacks.on_before_ui(lambda: xyz.add_axes(scripts.scripts_data))
script_callbacks.on_ui_settings(settings.add_settings)
script_callbacks.on_ui_tabs(lambda: tab.build_tab(HOLDER))
script_callbacks.on_app_started(lambda demo, app: api.add_routes(app, HOLDER))
script_callbacks.on_script_unloaded(_unload)
