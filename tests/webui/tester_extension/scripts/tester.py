"""Another extension, as users have them beside ours: does to pictures what the prompt asks, in the hooks that exist."""

import sys
from pathlib import Path

import open_clip
import torch
from modules import face_restoration, scripts, shared
from PIL import Image, ImageOps

COLOURS = ("red", "blue", "green", "yellow")
MOST_AT_ONCE = {"little memory": 2, "no memory": 0}


open_clip.add_model_config(Path(__file__).resolve().parents[4] / "tools" / "tiny_models" / "open_clip")


class Posterizer(face_restoration.FaceRestoration):
    """In the place of GFPGAN and CodeFormer, whose weights are not at hand: changes the whole picture."""

    def name(self):
        return "Posterizer"

    def restore(self, np_image):
        return np_image // 64 * 64


class Memory:
    """A graphics card that is full: scorers' image towers raise what torch raises there, for more than `most` pictures.

    Not the tower's first layer: what follows there has to be caught as well.
    """

    most = None

    def __call__(self, module, given):
        is_tower = type(module).__module__.startswith("lib_hps.scoring.clip") and given[0].ndim == 3
        if is_tower and self.most is not None and len(given[0]) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


MEMORY = Memory()
torch.nn.modules.module.register_module_forward_pre_hook(MEMORY)
shared.face_restorers[:] = [x for x in shared.face_restorers if x.name() != "Posterizer"] + [Posterizer()]


class Tester(scripts.Script):
    def title(self):
        return "Tester"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p):
        MEMORY.most = next((most for words, most in MOST_AT_ONCE.items() if words in p.prompt), None)
        for i, prompt in enumerate(p.all_prompts):
            p.all_prompts[i] = prompt.replace("__colour__", COLOURS[int(p.all_seeds[i]) % len(COLOURS)])

    def process_batch(self, p, **kwargs):
        # "without hook": as on a host that does not show the first noise to scripts
        features = sys.modules["lib_hps.hosts.webui.features"]
        features.has_noise_hook = lambda: "without hook" not in p.prompt
        if "tell networks" in p.prompt:  # how many modules the WebUI's own loader found for each LoRA
            loaded = sys.modules["networks"].loaded_networks
            p.extra_generation_params["Tester networks"] = ", ".join(f"{one.name} {len(one.modules)}" for one in loaded)

    def process_before_every_sampling(self, p, x=None, noise=None, **kwargs):
        if "hooked" in p.prompt:  # looks at the noise and changes what is sampled, as control extensions do
            assert noise.shape == p.rng.shape or noise.shape[1:] == p.rng.shape
            p.sampler.model_wrap_cfg.mask_before_denoising = True

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
