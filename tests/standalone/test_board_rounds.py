"""The board on the real pipeline: recipes draw what they say, a picture's text draws it again, winners get larger."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from random_models import write_scorer

from lib_hps.board.host import Arrived, Item, Order
from lib_hps.board.service import BoardService
from lib_hps.cli import main
from lib_hps.diffusion.noise import ImageNoise
from lib_hps.diffusion.request import GenerationRequest, Picture
from lib_hps.diffusion.samplers import SAMPLERS, Run, moves, moves_left
from lib_hps.diffusion.schedules import NoiseSchedule
from lib_hps.diffusion.second_pass import SecondPass
from lib_hps.errors import InputError
from lib_hps.hosts.standalone.rendering import read_text_or_picture, render, request_from
from lib_hps.hosts.standalone.rounds import StandaloneHost, draw_recipe, realise
from lib_hps.hosts.standalone.studio import Studio
from lib_hps.infotext import parse_infotext, png_info, read_generation
from lib_hps.noise import NoiseRecipe
from lib_hps.session import SessionStore

REQUEST = GenerationRequest("a cat", negative="dog", steps=4, sampler="DDIM", width=64, height=64, seed=5)
MIX = NoiseRecipe.mix({5: 0.8, 6: -0.5, 4294967295: 0.3})
RANDOM_SAMPLERS = {"Euler a"}  # they add noise in every step


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> str:
    return write_scorer(tmp_path_factory.mktemp("scorer") / "taste.safetensors")


@pytest.fixture
def host(pipeline, scorer, tmp_path) -> StandaloneHost:
    return StandaloneHost(Studio(pipeline, tmp_path / "outputs", scorer=scorer, device="cpu"))


@pytest.fixture
def service(host, tmp_path) -> BoardService:
    return BoardService(SessionStore(tmp_path / "outputs" / "sessions"), host)


def drawn(pipeline, request, recipe) -> Picture:
    return next(event for event in draw_recipe(pipeline, request, recipe) if isinstance(event, Picture))


def pixels(image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


def finished(service, id, kind) -> dict:
    """Wait for the task that was just started."""
    task = service._tasks.last(id)
    assert task.kind == kind
    assert task.finished.wait(240)
    assert task.error is None
    return service.state(id)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_recipe_of_one_seed_is_the_very_picture_of_that_seed(pipeline, sampler):
    request = dataclasses.replace(REQUEST, sampler=sampler, seed=9)
    plain = next(pipeline.generate(request)).image
    recipe = drawn(pipeline, request, NoiseRecipe.single(9)).image
    assert (pixels(plain) == pixels(recipe)).all()


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - RANDOM_SAMPLERS))
def test_with_a_deterministic_sampler_it_is_so_whatever_the_sessions_seed(pipeline, sampler):
    request = dataclasses.replace(REQUEST, sampler=sampler, seed=9)
    plain = next(pipeline.generate(request)).image
    other = drawn(pipeline, dataclasses.replace(request, seed=77), NoiseRecipe.single(9)).image
    assert (pixels(plain) == pixels(other)).all()


def test_the_noise_is_the_weighted_sum_of_the_seeds_own_noises(pipeline):
    import torch

    noise = realise(pipeline, REQUEST, MIX)
    shape = pipeline.latent_shape(REQUEST)
    parts = [c * ImageNoise([seed], shape, torch.device("cpu")).draw() for seed, c in MIX.terms]
    assert torch.allclose(noise, sum(parts), atol=1e-6)
    assert noise.shape == (1, 4, 8, 8)


def test_a_random_sampler_gives_all_candidates_of_a_session_the_same_in_loop_noise(pipeline):
    request = dataclasses.replace(REQUEST, sampler="Euler a")
    first = drawn(pipeline, request, MIX)
    assert (pixels(first.image) == pixels(drawn(pipeline, request, MIX).image)).all()
    other = drawn(pipeline, dataclasses.replace(request, seed=6), MIX)
    assert np.abs(pixels(first.image) - pixels(other.image)).max() > 8


def test_the_host_draws_a_round_in_its_order_with_the_recipe_in_each_infotext(host):
    items = tuple(Item(index, f"{index + 20}*1", {"HPS noise": f"{index + 20}*1"}) for index in (2, 0, 1))
    settings = {**host.defaults(), "prompt": "a cat", "steps": 2}
    events = list(host.draw(Order("s", 1, settings, "key", 5, items)))
    pictures = [event for event in events if isinstance(event, Arrived)]
    assert [picture.index for picture in pictures] == [2, 0, 1]
    steps = [event.fraction for event in events if not isinstance(event, Arrived)]
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    for picture in pictures:
        found = parse_infotext(picture.infotext)
        assert found.settings["HPS noise"] == f"{picture.index + 20}*1"
        request, recipe = request_from(found)
        assert (request.seed, recipe) == (5, NoiseRecipe.single(picture.index + 20))


def test_a_session_of_another_model_is_refused_with_the_way_out(host):
    settings = {**host.defaults(), "prompt": "a cat", "model": "other"}
    with pytest.raises(InputError, match="'other', but 'tiny-sd' is loaded"):
        host.check_settings(settings)


def test_scorers_that_are_files_are_called_by_their_stem(host, service):
    assert service.scorers()[0] == {"name": "taste", "available": True}
    assert not any("/" in line["name"] for line in service.scorers() if not line["name"].startswith("clip:"))


def play(service, rounds=2) -> str:
    body = {"settings": {"prompt": 'a (cat:1.2), "quoted": x', "negative": "dog\nbird", "steps": 2}, "batch": 3}
    id = service.create({**body, "seed": 11, "optimizer": "random"})["id"]
    for round in range(1, rounds + 1):
        service.draw(id)
        state = finished(service, id, "draw")
        newcomer = next(each["number"] for each in state["candidates"] if not each["is_incumbent"])
        service.tell(id, {"round": round, "order": [[newcomer]]})
    return id


def test_the_best_picture_is_drawn_again_pixel_for_pixel_from_its_infotext_alone(
    service, pipeline, tiny_checkpoint, tmp_path
):
    id = play(service)
    best = service.best(id)
    path = service.picture(id, best["picture"].rsplit("/", 1)[1])
    found = read_generation(path)
    assert found.settings["HPS noise"] == best["recipe"]
    assert len(NoiseRecipe.parse(best["recipe"]).terms) > 1
    again, infotext = render(pipeline, found)
    with Image.open(path) as image:
        assert (pixels(image) == pixels(again.image)).all()
    assert infotext == best["infotext"]
    text = tmp_path / "infotext.txt"
    text.write_text(best["infotext"], "utf-8")
    command = ["render", "--checkpoint", str(tiny_checkpoint), "--device", "cpu"]
    assert main([*command, "--infotext", str(text), "--out", str(tmp_path / "again.png")]) == 0
    with Image.open(path) as image, Image.open(tmp_path / "again.png") as other:
        assert image.tobytes() == other.tobytes()
        assert image.info["parameters"] == other.info["parameters"]


def test_render_says_when_the_picture_is_another_one(service, tiny_checkpoint, tmp_path, capsys):
    id = play(service, rounds=1)
    path = service.picture(id, service.best(id)["picture"].rsplit("/", 1)[1])
    wrong = tmp_path / "wrong.png"
    with Image.open(path) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(wrong, pnginfo=png_info(service.best(id)["infotext"]))
    command = ["render", "--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--out", str(tmp_path / "o.png")]
    assert main([*command, "--infotext", str(wrong)]) == 1
    assert "Not the given picture" in capsys.readouterr().err
    assert main([*command, "--infotext", str(path)]) == 0
    assert "Identical" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a cat", "does not say how it was made"),
        ("a cat\nSteps: 4, Sampler: DDIM, CFG scale: 7, Seed: 5, RNG: CPU", "Size is None"),
        ("a cat\nSteps: 4, Sampler: LCM, CFG scale: 7, Seed: 5, Size: 64x64, RNG: CPU", "Sampler is 'LCM'"),
        ("a cat\nSteps: 4, Sampler: DDIM, CFG scale: 7, Seed: 5, Size: 64x64", "source 'GPU'"),
        ("a cat\nSteps: 4, Sampler: DDIM, CFG scale: 7, Seed: 5, Size: 64x64, RNG: CPU, HPS noise: 5*.3", "2-norm"),
    ],
)
def test_a_text_that_does_not_suffice_is_refused_before_a_model_is_loaded(tmp_path, text, said, capsys):
    path = tmp_path / "t.txt"
    path.write_text(text)
    assert main(["render", "--infotext", str(path), "--checkpoint", "no-such-model.safetensors"]) == 2
    assert said in capsys.readouterr().err


def test_the_winner_gets_larger_is_kept_among_the_outputs_and_can_be_drawn_again(service, pipeline, tmp_path):
    id = play(service)
    service.finish(id, {"width": 96, "height": 128, "strength": 0.5})
    state = finished(service, id, "finish")
    (final,) = state["finals"]
    path = service.picture(id, final["picture"].rsplit("/", 1)[1])
    found = read_generation(path)
    assert (found.settings["Size"], found.settings["Hires resize"]) == ("64x64", "96x128")
    assert found.settings["HPS noise"] == state["best"]["recipe"]
    again, infotext = render(pipeline, found)
    with Image.open(path) as image:
        assert image.size == (96, 128)
        assert (pixels(image) == pixels(again.image)).all()
    assert infotext == final["infotext"]
    (kept,) = (tmp_path / "outputs").glob("????-??-??/*/*.png")
    assert kept.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_second_pass_begins_with_the_latent_noised_up_to_its_strength(sampler, strength):
    """The model is first asked about sqrt(a_t) * latent + sqrt(1 - a_t) * noise, with t about strength * 1000."""
    import torch

    schedule = NoiseSchedule()
    generator = torch.Generator().manual_seed(0)
    latent, noise = (torch.randn((1, 4, 8, 8), generator=generator) for _ in range(2))
    asked = []

    def eps(x, t):
        asked.append((x, float(t)))
        return torch.zeros_like(x)

    second = SecondPass(dataclasses.replace(REQUEST, sampler=sampler, steps=20), width=64, height=64, strength=strength)
    count = moves(sampler, second.steps, schedule)
    skipped = second.skipped(count)
    run = Run(eps, schedule, noise, second.steps, lambda: noise, latent=latent, skipped=skipped)
    walked = list(SAMPLERS[sampler][0](run))
    assert len(walked) == moves_left(sampler, second.steps, schedule, skipped)
    assert abs(len(walked) - 20) <= (3 if sampler == "DDIM" else 1)
    x, t = asked[0]
    # A1111's samplers on time steps begin one step below
    noised = t + 1000 // second.steps if sampler in ("DDIM", "UniPC") else t
    a = float(1 / (schedule.t_to_sigma(torch.tensor(min(noised, 999.0))) ** 2 + 1))
    assert torch.allclose(x, a**0.5 * latent + (1 - a) ** 0.5 * noise, atol=2e-3)
    if "Karras" not in sampler:  # whose steps are not even in time
        assert abs(noised / 1000 - strength) < 0.06


def test_a_second_pass_draws_the_size_asked_for_and_the_same_every_time(pipeline):
    first = next(pipeline.generate(REQUEST)).image
    passes = [list(pipeline.refine(REQUEST, first, width=96, height=128, strength=s)) for s in (0.5, 0.5, 0.7, 0.0)]
    images = [pixels(events[-1].image) for events in passes]
    assert images[0].shape == (128, 96, 3)
    assert (images[0] == images[1]).all()
    assert np.abs(images[0] - images[2]).max() > 8
    assert [len(events) - 1 for events in passes] == [2, 2, 2, 0]  # of four steps; A1111's DDIM leaves out two
    assert [event.fraction for event in passes[0][:-1]] == [0.5, 1.0]


def test_a_second_pass_walks_the_end_of_the_schedule_as_hires_fix_does():
    second = SecondPass(dataclasses.replace(REQUEST, steps=20), width=128, height=128, strength=0.5)
    assert (second.steps, second.skipped(40)) == (40, 20)  # A1111: t_enc = 19, sigmas[40 - 19 - 1:]
    full = SecondPass(dataclasses.replace(REQUEST, steps=20), width=128, height=128, strength=1.0)
    assert (full.steps, full.skipped(20)) == (20, 0)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="strength"):
            SecondPass(REQUEST, width=128, height=128, strength=bad)


def test_a_picture_is_encoded_the_same_every_time_in_the_latents_shape(pipeline):
    image = next(pipeline.generate(REQUEST)).image
    latent = pipeline._decoder.encode(image)
    assert latent.shape == (1, 4, 8, 8)
    assert bool((latent == pipeline._decoder.encode(image)).all())


def test_optimize_leaves_the_best_picture_a_report_and_a_session_that_opens(tiny_checkpoint, scorer, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["optimize", "--prompt", "a <b>cat</b>", "--checkpoint", str(tiny_checkpoint), "--scorer", scorer]
    other = write_scorer(tmp_path / "watcher.safetensors")
    command += [
        "--holdout",
        other,
        "--rounds",
        "3",
        "--batch",
        "3",
        "--optimizer",
        "random",
        "--steps",
        "2",
        "--seed",
        "4",
    ]
    assert main([*command, "--sampler", "DDIM", "--size", "64x64", "--device", "cpu", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "best.png"), str(out / "report.html")]
    assert "All 3 rounds are done, 7 pictures drawn" in said.err
    html = (out / "report.html").read_text("utf-8")
    assert "<b>cat" not in html
    assert html.count('<circle class="mark"') == html.count('<circle class="other"') == 3
    assert html.count("data:image/webp;base64,") == 2 + 3
    assert "http" not in html
    assert "watcher (held out" in html
    (line,) = SessionStore(out / "sessions").listing()
    state = SessionStore(out / "sessions").open(line.id).state()
    assert [answer.holdout_by for answer in state.answers] == ["watcher"] * 3
    scores = [answer.score for answer in state.answers]
    assert scores == sorted(scores)
    assert read_generation(out / "best.png").settings["HPS noise"] == state.best


def test_optimize_refuses_what_cannot_be_in_one_sentence(tiny_checkpoint, scorer, tmp_path, capsys):
    command = ["optimize", "--prompt", "x", "--checkpoint", str(tiny_checkpoint), "--scorer", scorer, "--device", "cpu"]
    command += ["--out", str(tmp_path / "o"), "--size", "64x64", "--steps", "2"]
    for more, said in (
        (["--rounds", "0"], "rounds is 0"),
        (["--batch", "1"], "batch is 1"),
        (["--optimizer", "magic"], "no optimiser 'magic'"),
        (["--sampler", "magic"], "no sampler 'magic'"),
        (["--size", "63x64"], "multiple of 8"),
        (["--holdout", "magic"], "'magic' is not known"),
        (["--images", "2"], "one round alone draws"),
    ):
        assert main([*command, *more]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "o" / "report.html").exists()


def test_the_page_and_the_board_are_served_by_one_program(pipeline, scorer, tmp_path):
    from fastapi.testclient import TestClient

    from lib_hps.hosts.standalone.server import make_server_app

    app = make_server_app(Studio(pipeline, tmp_path / "outputs", scorer=scorer, device="cpu"))
    with TestClient(app) as client:
        assert "Ranking board" in client.get("/hps/v1/board").text
        assert client.get("/hps/v1/options").json()["defaults"]["settings"]["model"] == "tiny-sd"
        assert "gradio" in client.get("/").text
        made = client.post("/hps/v1/sessions", json={"settings": {"prompt": "a cat", "steps": 2}}).json()
        assert (tmp_path / "outputs" / "sessions" / made["id"] / "log.jsonl").is_file()
        assert io.BytesIO(client.get(f"/hps/v1/sessions/{made['id']}/export").content).read(2) == b"PK"


def test_reading_a_text_file_that_is_binary_is_refused(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_text_or_picture(path)
