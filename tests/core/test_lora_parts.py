"""The LoRA trainer's parts: manifest, buckets and crops, targets, losses, averages of weights."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from lib_hps.diffusion.schedules import NoiseSchedule  # noqa: E402
from lib_hps.errors import InputError  # noqa: E402
from lib_hps.training.ema import WeightAverage  # noqa: E402
from lib_hps.training.feature_cache import FeatureCache  # noqa: E402
from lib_hps.training.lora.examples import kept_out, mixed, read_manifest, read_pairs  # noqa: E402
from lib_hps.training.lora.latents import LatentStore, bucket_of, crop_of  # noqa: E402
from lib_hps.training.lora.objectives import Diffusion, dpo_loss, errors  # noqa: E402
from lib_hps.training.sampling import bucketed_indices  # noqa: E402


def manifest(path, kinds):
    rows = [
        {"file": f"{i}.png", "caption": f"c{i}", "prompt": f"p{i // 2}", "kind": kind, "group": i // 2}
        for i, kind in enumerate(kinds)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_manifest_is_read_with_files_beside_it(tmp_path):
    found = read_manifest(manifest(tmp_path / "m.jsonl", ["positive", "negative"]))
    assert [(p.file, p.caption, p.kind, p.prompt) for p in found] == [
        (tmp_path / "0.png", "c0", "positive", "p0"),
        (tmp_path / "1.png", "c1", "negative", "p0"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ('{"file": "a.png"}\n', "Line 1"),
        ('{"file": "a.png", "caption": "x", "kind": "odd"}\n', "positive, negative"),
        ("no\n", "no JSON"),
        ("[1]\n", "no JSON object"),
    ],
)
def test_a_broken_manifest_is_refused_with_its_line(tmp_path, text, words):
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(InputError, match=words):
        read_manifest(tmp_path / "m.jsonl")


def test_kinds_stand_in_the_ratio_and_nothing_is_thrown_away(tmp_path):
    pictures = read_manifest(manifest(tmp_path / "m", ["positive"] * 3 + ["negative"] * 6 + ["regularisation"] * 4))
    epoch = mixed(pictures, (2, 1, 4))
    counts = {kind: sum(p.kind == kind for p in epoch) for kind in ("positive", "negative", "regularisation")}
    assert counts == {"positive": 12, "negative": 6, "regularisation": 24}
    assert set(epoch) == set(pictures)
    assert mixed(pictures, None) == pictures
    assert {p.kind for p in mixed(pictures, (1, 0, 0))} == {"positive"}
    with pytest.raises(InputError, match="ratio"):
        mixed(pictures[:3], (0, 1, 1))


def test_a_manifest_gives_pairs_of_its_groups(tmp_path):
    path = manifest(tmp_path / "m.jsonl", ["positive", "negative", "positive", "regularisation"])
    assert [(p.prompt, p.winner.name, p.loser.name) for p in read_pairs(path)] == [("p0", "0.png", "1.png")]


def test_recorded_choices_give_a_pair_for_every_answer(tmp_path):
    from lib_hps.preferences.choices import Choice, record

    for i in range(3):
        Image.new("RGB", (8, 8), (i * 80, 0, 0)).save(tmp_path / f"{i}.png")
    pictures = [tmp_path / f"{i}.png" for i in range(3)]
    record(tmp_path / "prefs", Choice("a", "a cat", pictures, [(2, 0), (2, 1)], 2, "2024-01-01"))
    pairs = read_pairs(tmp_path / "prefs")
    assert [pair.prompt for pair in pairs] == ["a cat"] * 2
    assert all(pair.winner.read_bytes() == pictures[2].read_bytes() for pair in pairs)
    assert [pair.loser.read_bytes() for pair in pairs] == [pictures[0].read_bytes(), pictures[1].read_bytes()]


def test_prompts_that_are_kept_out_do_not_depend_on_the_order():
    prompts = [f"p{i}" for i in range(40)]
    assert kept_out(prompts, 8) == kept_out(prompts[::-1] + prompts, 8)
    assert len(kept_out(prompts, 8)) == 4  # a tenth


@pytest.mark.parametrize(
    ("size", "bucket"),
    [((512, 512), (512, 512)), ((900, 500), (640, 384)), ((500, 900), (384, 640)), ((9000, 100), (768, 320))],
)
def test_buckets_keep_the_shape_and_the_area(size, bucket):
    found = bucket_of(size, resolution=512, step=64)
    assert found[0] * found[1] <= 512 * 512
    assert found[0] % 64 == found[1] % 64 == 0
    assert found == bucket
    assert bucket_of(size, resolution=512, step=64, are_kept=False) == (512, 512)


def test_crops_cover_the_bucket_and_stay_the_same():
    crops = [crop_of((700, 400), (512, 512), digest="d", number=n) for n in range(20)]
    assert all(c.resized == (896, 512) and 0 <= c.corner[0] <= 384 and c.corner[1] == 0 for c in crops)
    assert len({c.corner for c in crops}) > 10
    assert crops[3] == crop_of((700, 400), (512, 512), digest="d", number=3)
    assert crops[0].time_ids == (400, 700, 0, crops[0].corner[0], 512, 512)


class CountingVae:
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self):
        self.calls = 0

    def encode(self, pixels, return_dict):
        self.calls += len(pixels)
        small = torch.nn.functional.avg_pool2d(pixels, 8)
        return (type("P", (), {"parameters": torch.cat([small, small], dim=1)})(),)


def store(vae, folder, **more):
    cache = FeatureCache(folder, "vae") if folder else None
    return LatentStore(vae, cache, **{"resolution": 64, "step": 16, "crops": 2, "has_buckets": True, **more})


def test_latents_are_kept_by_content_and_broken_pictures_are_named(tmp_path):
    Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / "a.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    (tmp_path / "none.png").write_bytes(b"no picture")
    files = [tmp_path / name for name in ("a.png", "copy.png", "cut.png", "none.png", "missing.png")]
    vae = CountingVae()
    first = store(vae, tmp_path / "cache")
    assert set(first.fill(files)) == set(files[2:])
    calls = vae.calls
    assert calls <= 2  # the copy is known by its content
    again = store(vae, tmp_path / "cache")
    again.fill(files[:2])
    assert vae.calls == calls
    crop = again.crop(files[0], 0)
    torch.testing.assert_close(
        again.get(files[0], crop), store(vae, None).encode(crop.cut(Image.open(files[0]))[None])[0], atol=1e-3, rtol=0
    )
    for damaged in (tmp_path / "cache").rglob("*.safetensors"):
        damaged.write_bytes(b"half")
    assert again.get(files[0], crop).shape == (6, crop.size[1] // 8, crop.size[0] // 8)


def test_runs_of_a_step_are_of_one_bucket_and_an_epoch_has_everything():
    buckets = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10], [11, 12]]
    where = {index: number for number, bucket in enumerate(buckets) for index in bucket}
    seen = []
    for step in range(4):  # 3 + 3 + 1 runs of two, and one of the next epoch
        found = bucketed_indices(step, buckets, batch=4, micro=2, seed=3)
        assert all(where[found[i]] == where[found[i + 1]] for i in (0, 2))
        seen += found
    assert set(seen[:14]) == set(where)
    assert bucketed_indices(2, buckets, batch=4, micro=2, seed=3) == seen[8:12]
    assert bucketed_indices(2, buckets, batch=4, micro=2, seed=4) != seen[8:12]


@pytest.mark.parametrize("is_v", [False, True])
def test_noisy_pictures_and_targets_are_those_of_diffusers(is_v):
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    ours = Diffusion(NoiseSchedule(), is_v=is_v)
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(5, 4, 3, 3, generator=generator) for _ in range(2))
    t = torch.tensor([0, 10, 500, 900, 999])
    torch.testing.assert_close(ours.noisy(x0, noise, t), theirs.add_noise(x0, noise, t), atol=1e-5, rtol=1e-5)
    wanted = theirs.get_velocity(x0, noise, t) if is_v else noise
    torch.testing.assert_close(ours.target(x0, noise, t), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_v", [False, True])
def test_min_snr_weights_are_those_of_diffusers(is_v):
    from diffusers import DDPMScheduler
    from diffusers.training_utils import compute_snr

    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    t = torch.tensor([1, 100, 500, 990])
    snr = compute_snr(theirs, t)
    wanted = snr.clamp(max=5) / (snr + 1 if is_v else snr)
    torch.testing.assert_close(Diffusion(NoiseSchedule(), is_v=is_v).snr_weight(t, 5), wanted, atol=1e-5, rtol=1e-4)


def test_dpo_begins_at_log_two_and_rewards_the_winner():
    reference = torch.tensor([[0.2, 0.3], [0.25, 0.3]])
    loss, figures = dpo_loss(reference.clone(), reference, 100)
    assert float(loss) == pytest.approx(0.6931, abs=1e-4)
    assert figures["implicit accuracy"] == 0.5
    better = reference + torch.tensor([[-0.01, -0.02], [0.0, 0.01]])
    loss, figures = dpo_loss(better, reference, 100)
    assert float(loss) == pytest.approx(float(-torch.nn.functional.logsigmoid(torch.tensor([0.5, 1.5])).mean()))
    assert figures["implicit accuracy"] == 1
    assert figures["winner change"] == pytest.approx(-0.015)
    assert figures["loser change"] == pytest.approx(0.005)


def test_errors_are_one_mean_for_each_example():
    a = torch.zeros(2, 4, 2, 2)
    b = torch.stack([torch.ones(4, 2, 2), 2 * torch.ones(4, 2, 2)])
    assert errors(a, b).tolist() == [1, 4]


def test_the_average_goes_in_and_out_again():
    parameter = torch.nn.Parameter(torch.zeros(3))
    average = WeightAverage([parameter], 0.5)
    for step in range(4):
        with torch.no_grad():
            parameter += 1
        average.update(step)
    now = parameter.detach().clone()
    with average.applied():
        inside = parameter.detach().clone()
    assert torch.equal(parameter, now)
    assert float(inside[0]) < float(now[0])
    average.apply()
    assert torch.equal(parameter, inside)


def test_min_snr_weights_are_those_of_the_paper():
    """arXiv 2303.09556: min(SNR, gamma) / SNR for eps, and min(SNR, gamma) / (SNR + 1) for v."""
    schedule = NoiseSchedule()
    for t in (1, 200, 999):
        alpha = float(schedule.alphas_cumprod[t])
        snr = alpha / (1 - alpha)
        for is_v, wanted in ((False, min(snr, 5) / snr), (True, min(snr, 5) / (snr + 1))):
            found = Diffusion(schedule, is_v=is_v).snr_weight(torch.tensor([t]), 5)
            assert float(found) == pytest.approx(wanted, rel=1e-4)
