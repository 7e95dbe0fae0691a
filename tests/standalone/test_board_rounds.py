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
from lib_hps.diffusion.samplers import SAMPLERS
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
