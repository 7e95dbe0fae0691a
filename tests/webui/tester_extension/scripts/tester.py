"""Another extension, as users have them beside ours: does to pictures what the prompt asks, in the hooks that exist."""

from modules import scripts
from PIL import Image, ImageOps

COLOURS = ("red", "blue", "green", "yellow")


class Tester(scripts.Script):
    def title(self):
        return "Tester"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p):
        for i, prompt in enumerate(p.all_prompts):
            p.all_prompts[i] = prompt.replace("__colour__", COLOURS[int(p.all_seeds[i]) % len(COLOURS)])

    def before_process_batch(self, p, batch_number=0, **kwargs):
        if "explode at 3" in p.prompt and batch_number == 2:
            p.sample = explode

    def postprocess_image(self, p, pp):
        if "inverted" in p.prompt:
            pp.image = ImageOps.invert(pp.image)

    def postprocess_image_after_composite(self, p, pp):
        if "mirrored" in p.prompt:
            pp.image = ImageOps.mirror(pp.image)

    def postprocess(self, p, processed):
        if "with a map" in p.prompt:
            processed.images.append(Image.new("RGB", (64, 64), "gray"))


def explode(*args, **kwargs):
    raise RuntimeError("the third batch always fails")
