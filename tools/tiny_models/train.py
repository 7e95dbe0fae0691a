"""Makes the bundled tiny models from scratch.

    python -m tools.tiny_models.train --work DIR --out lib_hps/bundled --docs docs

Downloads the emoji once (with npm), then trains stage by stage; a killed run goes on where it was. Without a GPU it is
meant for two CPU cores with bfloat16 instructions; README.md beside this file gives times.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("tiny_models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for downloads, checkpoints and figures")
    parser.add_argument("--out", type=Path, help="where the finished models go (left out: train only)")
    parser.add_argument("--docs", type=Path, help="where the contact sheet goes")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop behind this stage")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2 if not torch.cuda.is_available() else torch.get_num_threads())
    run = Run(arguments.work)
    for stage in STAGES[: STAGES.index(arguments.until) + 1]:
        log.info("stage %s", stage)
        getattr(run, stage)()
    if arguments.docs:
        run.publish_sheet(arguments.docs)
    if arguments.out:
        run.publish(arguments.out)


STAGES = ["autoencoder", "text", "diffusion", "sharpening", "judging", "scorers", "choosing"]


class Run:
    """The stages in order; each keeps its result on disk and in this object."""

    def __init__(self, work: Path) -> None:
        from transformers import CLIPTokenizer

        from lib_hps.scoring.clip.tokenizer import Tokenizer

        from .captions import corpus, learn_merges, write_clip_tokenizer, write_open_clip_merges
        from .emoji import load_emoji

        self.work = work
        self.emoji, self.pictures = load_emoji(work)
        merges = work / "merges.json"
        if not merges.exists():
            merges.write_text(json.dumps(learn_merges(corpus(self.emoji))))
        self.merges: list[tuple[str, str]] = [(a, b) for a, b in json.loads(merges.read_text())]
        write_clip_tokenizer(self.merges, work / "tokenizer")
        write_open_clip_merges(self.merges, work / "merges.txt.gz")
        self.tokenizer = CLIPTokenizer.from_pretrained(str(work / "tokenizer"))
        self.clip_tokenizer = Tokenizer(work / "merges.txt.gz")
        self.figures: dict[str, Any] = {}

    def autoencoder(self) -> None:
        from .vae import train_vae

        self.vae = train_vae(self.pictures, self.work)

    def text(self) -> None:
        from .text import train_text

        self.text_encoder = train_text(self.emoji, self.pictures, self.tokenizer, self.work)

    def diffusion(self) -> None:
        from .diffusion import train_diffusion

        self.model = train_diffusion(self.emoji, self.pictures, self.vae, self.text_encoder, self.tokenizer, self.work)

    def sharpening(self) -> None:
        from .vae import sharpen_decoder

        self.vae = sharpen_decoder(self.vae, self.pictures, self.work)

    def judging(self) -> None:
        from .emoji import STYLES
        from .evaluate import judge_generated, judge_real
        from .judge import train_judge

        self.judge = train_judge(self.emoji, self.pictures, self.work)
        shares, self.sheets = judge_generated(self.model, self.vae, self.tokenizer, self.judge, self.emoji)
        real = {s: judge_real(self.judge, self.emoji, self.pictures, i) for i, s in enumerate(STYLES)}
        self.figures["tiny-sd"] = {"generated": shares, "real": real}
        self._note()
        unseen = {}
        for i, style in enumerate(STYLES):
            apart = train_judge(self.emoji, self.pictures, self.work, without_style=i)
            unseen[style] = judge_real(apart, self.emoji, self.pictures, i)
        self.figures["tiny-sd"]["real, an artist the judge never saw"] = unseen
        self._note()

    def scorers(self) -> None:
        from .contrastive import normalise, recipes, retrieval_accuracy, train_contrastive

        self.scorer_models = {}
        for recipe in recipes(len(self.tokenizer)):
            model = train_contrastive(recipe, self.emoji, self.pictures, self.clip_tokenizer, self.work)

            def cosines(images: torch.Tensor, texts: list[str], model: torch.nn.Module = model) -> torch.Tensor:
                with torch.no_grad():
                    read = torch.cat(
                        [model.encode_text(self.clip_tokenizer(texts[i : i + 256])) for i in range(0, len(texts), 256)]
                    )
                    seen = torch.cat([model.encode_image(normalise(chunk)) for chunk in images.split(128)])
                read, seen = (torch.nn.functional.normalize(t.float(), dim=-1) for t in (read, seen))
                return seen @ read.T

            self.figures[recipe.name] = {"name among 20": retrieval_accuracy(cosines, self.emoji, self.pictures)}
            self.scorer_models[recipe.name] = (recipe, model)
        self._note()

    def choosing(self) -> None:
        from .choices import ChoiceSource, choice_accuracy, train_on_choices
        from .rated import rated_pictures

        generated = rated_pictures(self.model, self.vae, self.tokenizer, self.judge, self.emoji, self.work)
        for name, (recipe, model) in self.scorer_models.items():
            source = ChoiceSource(recipe, self.emoji, self.pictures, generated if name == "tiny-hps" else None)
            figures = self.figures[name]
            figures["choice of 4, before"] = choice_accuracy(model, source, self.clip_tokenizer)
            train_on_choices(recipe, model, source, self.clip_tokenizer, self.work)
            figures["choice of 4, after"] = choice_accuracy(model, source, self.clip_tokenizer)
        self._note()

    def publish_sheet(self, docs: Path) -> None:
        from .evaluate import contact_sheet

        contact_sheet(self.sheets, docs / "tiny-sd.png")

    def publish(self, out: Path) -> None:
        from .cards import write_scorer_card, write_tiny_sd_card
        from .evaluate import CFG, STEPS
        from .export import export_tiny_sd
        from .publish import publish_scorer

        parts = {"unet": self.model.unet, "vae": self.vae, "text": self.model.text}
        export_tiny_sd(**parts, merges=self.merges, folder=out / "tiny-sd")
        facts = {"vocabulary": len(self.tokenizer), "count": len(self.emoji), "cfg": CFG, "steps": STEPS}
        write_tiny_sd_card(self.figures["tiny-sd"], parts, facts, out / "tiny-sd")
        for name, (recipe, model) in self.scorer_models.items():
            publish_scorer(recipe, model, self.merges, out / name)
            write_scorer_card(name, self.figures[name], out / name)

    def _note(self) -> None:
        (self.work / "figures.json").write_text(json.dumps(self.figures, indent=1))
        log.info("%s", json.dumps(self.figures))


if __name__ == "__main__":
    main()
