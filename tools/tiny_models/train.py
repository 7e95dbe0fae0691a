"""Makes the bundled tiny models from scratch.

    python -m tools.tiny_models.train --work DIR --out lib_hps/bundled --docs docs
    python -m tools.tiny_models.train --work DIR --out lib_hps/bundled --published lib_hps/bundled

The second line takes tiny-sd as it is published and makes the two scorers anew. Downloads the emoji once (with npm),
then trains stage by stage; a killed run goes on where it was. Without a GPU it is meant for two CPU cores with bfloat16
instructions (OMP_NUM_THREADS=1 leaves one of them free); README.md beside this file gives times.
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
    parser.add_argument("--published", type=Path, help="take tiny-sd from this folder")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop behind this stage")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not torch.cuda.is_available():
        torch.set_num_threads(min(2, torch.get_num_threads()))
    run = Run(arguments.work, arguments.published)
    for stage in STAGES[: STAGES.index(arguments.until) + 1]:
        if arguments.published and stage in OF_TINY_SD:
            continue
        log.info("stage %s", stage)
        getattr(run, stage)()
    if arguments.docs and not arguments.published:
        run.publish_sheet(arguments.docs)
    if arguments.out:
        run.publish(arguments.out)


OF_TINY_SD = ["autoencoder", "text", "diffusion", "sharpening", "judging"]
STAGES = [*OF_TINY_SD, "scorers", "drawing", "choosing"]


class Run:
    """The stages in order; each keeps its result on disk and in this object."""

    def __init__(self, work: Path, published: Path | None = None) -> None:
        from transformers import CLIPTokenizer

        from lib_hps.scoring.clip.tokenizer import Tokenizer

        from .captions import corpus, learn_merges, write_clip_tokenizer, write_open_clip_merges
        from .emoji import load_emoji

        self.work, self.published = work, published
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

        judge = train_judge(self.emoji, self.pictures, self.work)
        shares, self.sheets = judge_generated(self.model, self.vae, self.tokenizer, judge, self.emoji)
        real = {s: judge_real(judge, self.emoji, self.pictures, i) for i, s in enumerate(STYLES)}
        self.figures["tiny-sd"] = {"generated": shares, "real": real}
        self._note()
        unseen = {}
        for i, style in enumerate(STYLES):
            apart = train_judge(self.emoji, self.pictures, self.work, without_style=i)
            unseen[style] = judge_real(apart, self.emoji, self.pictures, i)
        self.figures["tiny-sd"]["real, an artist the judge never saw"] = unseen
        self._note()

    def scorers(self) -> None:
        from .contrastive import recipes, train_contrastive

        self.scorer_models = {}
        for recipe in recipes(len(self.tokenizer)):
            model = train_contrastive(recipe, self.emoji, self.pictures, self.clip_tokenizer, self.work)
            self.scorer_models[recipe.name] = (recipe, model)
            self._measure(recipe.name, "before")

    def drawing(self) -> None:
        from . import rater
        from .augment import premultiply
        from .choices import ChoiceSource, Drawn
        from .drawn import PROOF, draw_for, split_emoji
        from .judge import train_judge

        judge = train_judge(self.emoji, self.pictures, self.work)
        checkpoint = self._tiny_sd()
        rgba = premultiply(self.pictures.reshape(-1, *self.pictures.shape[2:]))
        self.sources, self.drawn = {}, {}
        for side, rows in split_emoji(self.emoji).items():
            asked, prompts, pictures = draw_for(side, self.emoji, checkpoint, self.work)
            images = rater.to_images(pictures)
            self.drawn[side] = Drawn(prompts, pictures, rater.fit(judge, images, asked), rater.Standards.of(images))
            if not side.endswith(PROOF):
                learned = None if side == "unseen" else self.drawn[side]
                self.sources[side] = ChoiceSource(self.emoji, rgba, rows, learned)

    def choosing(self) -> None:
        from .agreement import scores_of, within_prompts
        from .choices import choice_accuracy, train_on_choices
        from .drawn import PROOF

        scores, unseen = {}, self.drawn["unseen"]
        for moment in ("before", "after"):
            for name, (recipe, model) in self.scorer_models.items():
                if moment == "after":
                    source, proof = self.sources[name], self.drawn[name + PROOF]
                    train_on_choices(recipe, model, source, proof, self.clip_tokenizer, self.work)
                    self._measure(name, moment)
                scores[name] = scores_of(model, self.clip_tokenizer, unseen)
                self.figures[name] |= {
                    f"choice of 8, {moment}": choice_accuracy(model, self.sources["unseen"], self.clip_tokenizer),
                    f"rater, {moment}": within_prompts(scores[name], unseen.utility.numpy()),
                }
            both = within_prompts(*scores.values())
            for name in self.scorer_models:
                self.figures[name][f"other, {moment}"] = both
            self._note()

    def _measure(self, name: str, moment: str) -> None:
        from .contrastive import cosines, retrieval_accuracy

        _, model = self.scorer_models[name]
        named = retrieval_accuracy(cosines(model, self.clip_tokenizer), self.emoji, self.pictures)
        self.figures.setdefault(name, {})[f"name among 20, {moment}"] = named
        self._note()

    def _tiny_sd(self) -> Path:
        """The checkpoint that draws: the published one, or what was trained here, in the form that is published."""
        from .export import export_tiny_sd

        if self.published:
            return self.published / "tiny-sd" / "tiny-sd.safetensors"
        return export_tiny_sd(self.model.unet, self.vae, self.model.text, self.merges, self.work / "tiny-sd")

    def publish_sheet(self, docs: Path) -> None:
        from .evaluate import contact_sheet

        contact_sheet(self.sheets, docs / "tiny-sd.png")

    def publish(self, out: Path) -> None:
        from .cards import write_scorer_card, write_tiny_sd_card
        from .evaluate import CFG, STEPS
        from .export import export_tiny_sd
        from .publish import publish_scorer

        if not self.published:
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
