"""What happens when something on the page is pressed; one object for each page, one flag for each browser session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from lib_hps.errors import HpsError, InputError
from lib_hps.files import inside
from lib_hps.hosts.standalone import view
from lib_hps.hosts.standalone.form import form_values, make_job
from lib_hps.hosts.standalone.outputs import history, zip_job
from lib_hps.infotext import parse_infotext, read_generation

if TYPE_CHECKING:
    from lib_hps.hosts.standalone.studio import Job, Snapshot, Studio

_LOOK_EVERY_S = 0.4


class Handlers:
    """Event handlers of one page."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._flags: dict[str, Event] = {}

    def _flag(self, request: gr.Request) -> Event:
        return self._flags.setdefault(str(request.session_hash), Event())

    def begin(self, request: gr.Request) -> tuple[Any, ...]:
        """Generate was pressed: swap the buttons, say that the job waits for its turn."""
        self._flag(request).clear()
        return gr.update(interactive=False, value="Drawing"), gr.update(interactive=True), view.said("Starting")

    def end(self) -> tuple[Any, ...]:
        """The job is over, one way or another."""
        return gr.update(interactive=True, value="Generate"), gr.update(interactive=False, value="Cancel")

    def cancel(self, request: gr.Request) -> Any:
        """Stop at the next step; what is finished is kept."""
        self._flag(request).set()
        return gr.update(interactive=False, value="Stopping")

    def leave(self, request: gr.Request) -> None:
        """The tab was closed: nobody waits for its pictures."""
        if flag := self._flags.pop(str(request.session_hash), None):
            flag.set()

    def generate(self, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Draw, score, sort; yields (live, gallery, saved, infotext, file, zip, details)."""
        flag, clock, shown, looked_s = self._flag(request), view.Clock(), -1, 0.0
        same = gr.skip() if hasattr(gr, "skip") else gr.update()
        try:
            job = make_job(*values)
            for snapshot in self._studio.run(job, cancelled=flag.is_set):
                now = time.monotonic()
                is_new = snapshot.drawn != shown
                if snapshot.progress is None:
                    yield self._finished(snapshot, job, is_cancelled=flag.is_set())
                elif is_new or now - looked_s > _LOOK_EVERY_S:
                    pictures = (
                        gr.update(value=view.gallery(snapshot.ranked), visible=snapshot.drawn > 0) if is_new else same
                    )
                    shown, looked_s = snapshot.drawn, now
                    yield view.live(snapshot, clock), pictures, same, same, same, same, gr.update(visible=False)
        except HpsError as error:
            # said in the page's own place for words: gr.Error would put its mark on every output
            yield view.failed(str(error)), same, same, same, same, same, same

    def _finished(self, snapshot: Snapshot, job: Job, *, is_cancelled: bool) -> tuple[Any, ...]:
        words = view.summary(snapshot, job, self._studio.outputs, is_cancelled=is_cancelled)
        if not snapshot.saved:
            return (
                words,
                gr.update(value=[], visible=False),
                [],
                "",
                gr.update(value=None),
                gr.update(value=None),
                gr.update(visible=False),
            )
        saved = [(str(one.path), one.infotext) for one in snapshot.saved]
        best = snapshot.saved[0]
        archive = str(zip_job(snapshot.saved))
        return (
            words,
            gr.update(value=view.gallery(snapshot.ranked), visible=True),
            saved,
            best.infotext,
            gr.update(value=str(best.path)),
            gr.update(value=archive),
            gr.update(visible=True),
        )

    def choose(self, saved: list[tuple[str, str]], event: gr.SelectData) -> tuple[Any, ...]:
        """A result was clicked: show how it was made, offer its file."""
        if not 0 <= int(event.index) < len(saved):  # still drawing: nothing is saved yet
            return "", gr.update(value=None)
        path, infotext = saved[int(event.index)]
        return infotext, gr.update(value=path)

    def history(self) -> tuple[Any, ...]:
        """The newest pictures of the outputs folder."""
        from PIL import Image

        shown, paths = [], []
        for path in history(self._studio.outputs):
            try:
                with Image.open(path) as image:
                    shown.append((view.for_screen(image.convert("RGB")), _old_caption(path)))
                    paths.append(str(path.relative_to(self._studio.outputs)))
            except (OSError, ValueError, SyntaxError):
                continue  # being written, or damaged by hand
        return shown, paths

    def choose_old(self, paths: list[str], event: gr.SelectData) -> tuple[Any, ...]:
        """A picture of the history was clicked."""
        try:
            path = inside(self._studio.outputs, paths[int(event.index)])
            found = read_generation(path)
        except (HpsError, IndexError):
            return "This picture is not there any more.", gr.update(value=None, interactive=False)
        text = "" if found is None else _text(path)
        return text, gr.update(value=str(path), interactive=True)

    def reuse(self, infotext: str) -> tuple[Any, ...]:
        """Put a picture's settings into the form, in the form's order."""
        if not infotext:
            raise gr.Error("Choose a picture first.")
        found = parse_infotext(infotext)
        steps, sampler, cfg, size, seed = form_values(found.settings)
        return tuple(
            gr.update() if value is None else value
            for value in (found.prompt, found.negative, steps, sampler, cfg, size, seed)
        )


def _text(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("parameters", ""))


def _old_caption(path: Path) -> str:
    try:
        found = read_generation(path)
    except InputError:
        return ""
    return found.settings.get("HPS", "") if found else ""
