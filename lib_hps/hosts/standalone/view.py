"""What the page shows, as plain functions: no Gradio in here."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.hosts.standalone.studio import Job, Ranked, Snapshot

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN_PX = 320  # small pictures are enlarged smoothly to at least this for the screen; files stay as they were drawn
_PREVIEW_PX = 96
_MOST_PREVIEWS = 8


@dataclass
class Clock:
    """When a job began, for the time left."""

    began_s: float = field(default_factory=time.monotonic)

    def left(self, fraction: float) -> str:
        """Words for the time left; "" while it is too early to say."""
        spent = time.monotonic() - self.began_s
        if fraction < 0.02 or spent < 1:
            return ""
        seconds = spent * (1 - fraction) / fraction
        return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"


def caption(rank: int, score: float) -> str:
    """What stands below a picture."""
    return f"{rank}   {score:.4f}"


def gallery(ranked: Sequence[Ranked]) -> list[tuple[Image, str]]:
    """Pictures for the screen with rank and score, best first."""
    return [(for_screen(one.picture.image), caption(rank, one.score)) for rank, one in enumerate(ranked, 1)]


def for_screen(image: Image) -> Image:
    """Enlarge a small picture by a whole factor, so that the browser does not blur it."""
    from PIL import Image as PIL

    factor = -(-_SHOWN_PX // max(image.size))
    return image if factor <= 1 else image.resize((image.width * factor, image.height * factor), PIL.Resampling.LANCZOS)


def live(snapshot: Snapshot, clock: Clock) -> str:
    """Progress bar, words and the pictures being drawn, as HTML."""
    progress = snapshot.progress
    if progress is None:
        return ""
    last = progress.first + progress.size
    which = f"{progress.first + 1}" if progress.size == 1 else f"{progress.first + 1} to {last}"
    words = [
        f"Picture {which} of {progress.count}",
        f"step {progress.step} of {progress.steps}",
        clock.left(progress.fraction),
    ]
    previews = "".join(f'<img src="{_data_uri(image)}" alt="">' for image in progress.preview()[:_MOST_PREVIEWS])
    line = " &middot; ".join(word for word in words if word)
    return (
        f'<div class="hps-live" role="status"><div class="hps-words">{line}</div>'
        f'<div class="hps-bar"><i style="width:{100 * progress.fraction:.1f}%"></i></div>'
        f'<div class="hps-strip">{previews}</div></div>'
    )


def said(words: str) -> str:
    """A line in the place of the progress bar."""
    return f'<div class="hps-live" role="status"><div class="hps-words">{escape(words)}</div></div>'


def failed(words: str) -> str:
    """What went wrong and what to do, in the place of the progress bar."""
    return f'<div class="hps-live hps-failed" role="alert"><div class="hps-words">{escape(words)}</div></div>'


def scorer_label(name: str) -> str:
    """A scorer's name as people say it: of a file, its stem."""
    return Path(name).stem if Path(name).suffix and ("/" in name or "\\" in name) else name


def summary(snapshot: Snapshot, job: Job, outputs: Path, *, is_cancelled: bool) -> str:
    """What came of a finished job."""
    if not snapshot.saved:
        return said("Cancelled before a picture was finished.")
    kept, drawn = len(snapshot.saved), snapshot.drawn
    words = f"Best {kept} of {drawn}, sorted by {scorer_label(job.scorer)}."
    if is_cancelled and drawn < job.request.count:
        words = f"Cancelled. {words}"
    return said(f"{words} Saved in {snapshot.saved[0].path.parent.relative_to(outputs.parent).as_posix()}")


def _data_uri(image: Image) -> str:
    stream = io.BytesIO()
    small = image.copy()
    small.thumbnail((_PREVIEW_PX, _PREVIEW_PX))
    small.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
