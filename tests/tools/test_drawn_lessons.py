"""Of benchmarks.drawn_lessons: backgrounds of a batch are those that a rater sees, picture by picture."""

import torch

from benchmarks.drawn_lessons import backgrounds_of
from benchmarks.rater_reading import background_of
from tools.tiny_models.augment import BACKGROUNDS


def test_backgrounds_of_a_batch_are_those_of_each_picture():
    generator = torch.Generator().manual_seed(0)
    grounds = torch.tensor(list(BACKGROUNDS.values())).repeat(8, 1)[:, :, None, None].expand(-1, -1, 16, 16)
    noise = torch.randint(-40, 41, grounds.shape, generator=generator)
    levels = (grounds + noise).clamp(0, 255).to(torch.uint8)
    seen = backgrounds_of(levels.float() / 127.5 - 1)
    names = [background_of(picture.movedim(0, -1).numpy()) for picture in levels]
    assert seen.sum(dim=1).eq(1).all()
    assert [list(BACKGROUNDS)[row] for row in seen.argmax(dim=1).tolist()] == names
    assert len({*names}) == len(BACKGROUNDS)
