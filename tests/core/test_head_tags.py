"""How well the tags of a prompt fit: each by itself, against a crowd, and the head that hears them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from head_table import make_table, tags_in  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.scoring import load_scorer  # noqa: E402
from lib_hps.scoring.clip.head import PREFIX, TasteHead  # noqa: E402
from lib_hps.scoring.clip.tag_features import crowd_of, fit_of_tags, shares_of_tags, side_by_side  # noqa: E402
from lib_hps.scoring.prompts import MOST_TAGS, tags_of  # noqa: E402
from lib_hps.training.head_basis import make_blocks  # noqa: E402
from lib_hps.training.head_blocks import head_of  # noqa: E402
from lib_hps.training.head_tags import find_rivals  # noqa: E402

SCALE = torch.tensor(30.0)
UNASKED, STRONGEST, SQUASHED, KINDS = 8, 9, 10, slice(11, None)  # columns


@pytest.mark.parametrize(
    ("prompt", "tags"),
    [
        ("a cat", ["a cat"]),
        ("red apple, noto style,, pink background,", ["red apple", "noto style", "pink background"]),
        ("a cat\nwith a hat, outside", ["a cat", "with a hat", "outside"]),
        (" , ", [" , "]),
    ],
)
def test_tags_stand_between_commas_and_lines(prompt, tags):
    assert tags_of(prompt) == tags


def test_of_an_endless_prompt_the_first_tags_are_taken():
    assert tags_of(", ".join(f"tag {n}" for n in range(100))) == [f"tag {n}" for n in range(MOST_TAGS)]


def things(count: int = 400) -> torch.Tensor:
    """Pictures (count, 12) that have each of 12 things or not, in random measure, on the axes of the space."""
    generator = torch.Generator().manual_seed(0)
    return normalize(
        torch.rand(count, 12, generator=generator) * (torch.rand(count, 12, generator=generator) < 0.3) + 0.01, dim=1
    )


NONE_FREQUENT = (torch.zeros(0, 12), torch.zeros(0, 0))


def test_each_tag_is_asked_about_by_itself():
    pictures, axes = things(), torch.eye(12)
    crowd = crowd_of(pictures, axes[:8], *NONE_FREQUENT)
    shown = normalize(torch.stack([axes[0], axes[0] + axes[9], axes[9], axes[1] + axes[9]]), dim=1)
    found = fit_of_tags(shown, axes[[0, 9]].expand(4, -1, -1), SCALE, crowd)
    assert found.shape == (4, 11)
    subject, others, odds = found[:, 0], found[:, 2], found[:, 4]
    assert subject[0] > subject[1] > subject[2] > 0 - 2
    assert others[2] > others[1] > others[0]
    assert odds[1] > 3  # the thing, and beside it no other
    assert odds[3] < -3
    there = shown @ axes[0]
    of_crowd = pictures @ axes[0]
    torch.testing.assert_close(subject, (there - of_crowd.mean()) / of_crowd.std(), atol=1e-4, rtol=1e-4)


def test_the_own_tag_is_no_rival_and_a_stranger_is_weighed_alike():
    crowd = crowd_of(things(), torch.eye(12)[:8], *NONE_FREQUENT)
    picture = normalize(torch.eye(12)[2] + torch.eye(12)[10], dim=0)[None]  # as much of a known tag as of a new one
    known, new = (fit_of_tags(picture, torch.eye(12)[[tag]][None], SCALE, crowd)[0, 4] for tag in (2, 10))
    alone = SCALE * picture[0, 2] - (SCALE * picture[0, [0, 1, 3, 4, 5, 6, 7]]).logsumexp(dim=0)
    torch.testing.assert_close(known, alone)
    assert new < known  # of the new one, the known one is a rival
    one = crowd_of(things(), torch.eye(12)[:1], *NONE_FREQUENT)
    assert fit_of_tags(picture, torch.eye(12)[[0]][None], SCALE, one).isfinite().all()


def test_what_a_prompt_gets_does_not_hang_on_the_prompts_beside_it():
    axes, pictures = torch.eye(12), things(2)
    crowd = crowd_of(things(), axes[:8], axes[2:6], 1 - torch.eye(4))
    short, long = axes[[0]], axes[[1, 2, 3, 4]]
    together = fit_of_tags(pictures, side_by_side([short, long]), SCALE, crowd)
    for row, tags in enumerate((short, long)):
        torch.testing.assert_close(fit_of_tags(pictures[row : row + 1], tags[None], SCALE, crowd)[0], together[row])
    assert together[0, 2] == together[0, 3] == 0  # there are no others


def test_a_tag_is_weighed_against_those_that_exclude_it():
    axes = torch.eye(12)
    apart = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])  # the styles 8 and 9; 10 goes with both
    crowd = crowd_of(things(), axes[:8], axes[8:11], apart)
    shown = normalize(torch.stack([axes[8] + axes[10], axes[9] + axes[10], axes[0] + 0.1]), dim=1)
    asked = torch.stack([axes[[0, 8, 10]]] * 3)
    found = fit_of_tags(shown, asked, SCALE, crowd)
    (odds, share), unasked = found[:, KINDS].T, found[:, UNASKED]
    torch.testing.assert_close(odds[:2], SCALE * (shown[:2, 8] - shown[:2, 9]))
    torch.testing.assert_close(odds[2], torch.tensor(0.0))
    torch.testing.assert_close(share, odds.sigmoid())
    assert unasked[1] > 0 > unasked[0]
    without = fit_of_tags(shown, axes[[0, 10]].expand(3, -1, -1), SCALE, crowd)
    assert not without[:, KINDS].any()  # 10 has no rivals
    named_first = fit_of_tags(shown, axes[[8]].expand(3, -1, -1), SCALE, crowd)
    assert not named_first[:, KINDS].any()  # the first tag is weighed against other first tags


def two_kinds() -> torch.Tensor:
    """The styles 0 and 1 exclude each other, as the backgrounds 2, 3 and 4 do."""
    return torch.block_diag(1 - torch.eye(2), 1 - torch.eye(3))


def test_each_of_a_prompts_tags_counts_among_its_rivals():
    axes = torch.eye(12)
    crowd = crowd_of(things(), axes[:7], axes[7:], two_kinds())
    shown = normalize(axes[7] + axes[9] + axes[0], dim=0)[None]
    style, ground, both = (
        fit_of_tags(shown, axes[[0, *named]][None], SCALE, crowd)[0, KINDS] for named in ([7], [9], [7, 9])
    )
    torch.testing.assert_close(both, style + ground)
    assert both.nonzero().flatten().tolist() == [0, 1, 2, 3]
    assert style.nonzero().flatten().tolist() == [0, 2]
    assert ground.nonzero().flatten().tolist() == [1, 3]


def test_of_backgrounds_that_a_prompt_does_not_speak_of_the_strongest_is_told():
    axes = torch.eye(12)
    crowd = crowd_of(things(), axes[:7], axes[7:], two_kinds())
    shown = normalize(torch.stack([axes[0] + axes[8], axes[0] + axes[10], axes[0] + axes[10] / 2]), dim=1)
    silent = fit_of_tags(shown, axes[[0, 7]].expand(3, -1, -1), SCALE, crowd)
    none, much, less = silent[:, STRONGEST]
    assert much > less > none
    assert none < 0  # the style that was not asked for has a rival that was: it is weighed against that one
    torch.testing.assert_close(silent[:, SQUASHED], (silent[:, STRONGEST] - 1).tanh())
    said = fit_of_tags(shown, axes[[0, 7, 9]].expand(3, -1, -1), SCALE, crowd)
    assert not said[:, STRONGEST].any()


def test_what_a_picture_has_of_rivals_is_told_whatever_the_prompt_says():
    axes = torch.eye(12)
    apart = torch.tensor([[0.0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])  # 7, 8 and 9; 10 has no rivals
    crowd = crowd_of(things(), axes[:7], axes[7:11], apart)
    shown = normalize(torch.stack([axes[7] + axes[8], 2 * axes[9] + axes[0]]), dim=1)
    shares = shares_of_tags(shown, SCALE, crowd)
    for part, sharpness in zip(shares.split(4, dim=1), (1, 0.5), strict=True):
        torch.testing.assert_close(part[:, :3], (sharpness * SCALE * shown[:, 7:10]).softmax(dim=1))
        assert not part[:, 3].any()


def test_a_head_without_a_part_of_its_crowd_is_refused():
    tensors = TasteHead(head_of(*_head_of_tags())).to_tensors()
    del tensors[PREFIX + "tags.apart"]
    with pytest.raises(InputError, match=r"lacks 'tags\.apart'"):
        TasteHead.from_tensors({}, tensors)


def test_a_head_with_other_columns_of_tags_is_refused():
    tensors = TasteHead(head_of(*_head_of_tags())).to_tensors()
    tensors[PREFIX + "tags"] = tensors[PREFIX + "tags"][2:]
    with pytest.raises(InputError, match=r"columns of tags.*Train it again"):
        TasteHead.from_tensors({}, tensors)


def _head_of_tags() -> tuple:
    blocks = make_blocks(make_table(), torch.ones(200), torch.arange(40).repeat_interleave(5) % 3)
    return {"tags": blocks["tags"]}, torch.tensor(1.0), [torch.ones(blocks["tags"].columns.shape[1])]


def test_tags_that_never_stand_together_exclude_each_other():
    styles, grounds = ("oil", "ink", "3d"), ("pink", "blue")
    prompts = [f"thing {n}, {styles[n % 3]}, {grounds[n % 2]}, soft" for n in range(60)] + ["thing 60, rare, oil"]
    embeddings = {}
    for prompt in prompts:
        for tag in tags_of(prompt):
            embeddings.setdefault(tag, torch.full((4,), float(len(embeddings))))
    tags = {prompt: torch.stack([embeddings[tag] for tag in tags_of(prompt)]) for prompt in prompts}
    frequent, apart = find_rivals(tags)
    names = [next(name for name, each in embeddings.items() if torch.equal(each, row)) for row in frequent]
    assert {*names} == {"soft", *styles, *grounds}  # neither the things nor what is rare
    assert torch.equal(apart, apart.T)
    backwards = find_rivals(dict(reversed(tags.items())))
    assert torch.equal(backwards[0], frequent)  # the same bytes, whatever order the prompts come in
    assert torch.equal(backwards[1], apart)
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            rivals = one != other and any({one, other} <= {*group} for group in (styles, grounds))
            assert apart[row, column] == rivals


def test_two_rare_tags_may_miss_each_other_by_chance():
    prompts = [f"thing {n}, " + ("oil" if n < 10 else "pink" if n < 20 else "ink") for n in range(100)]
    tags = {prompt: torch.stack([torch.full((4,), float(len(tag))) for tag in tags_of(prompt)]) for prompt in prompts}
    frequent, apart = find_rivals(tags)
    assert len(frequent) == 3
    assert apart.sum(dim=1).tolist() == [2, 1, 1]  # "oil" and "pink" would meet once in 100


def test_two_of_a_kind_need_half_the_proof():
    styles = ["ink"] * 50 + ["oil paint"] * 24 + ["pencil"] * 13 + ["gouache"] * 13
    prompts = [f"thing {n}, {style}" for n, style in enumerate(styles)]
    tags = {prompt: torch.stack([torch.full((4,), float(len(tag))) for tag in tags_of(prompt)]) for prompt in prompts}
    frequent, apart = find_rivals(tags)
    assert frequent[:, 0].tolist() == [3, 9, 7, 6]
    assert torch.equal(apart, 1 - torch.eye(4))  # strangers with 13 each would meet 1.7 times in 100, the others thrice


def test_the_head_hears_what_the_columns_say_and_keeps_it_in_its_file():
    table = make_table()
    blocks = make_blocks(table, torch.ones(200), torch.arange(40).repeat_interleave(5) % 3)
    mine = {name: blocks[name] for name in ("tags", "tag shares")}
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(each.columns.shape[1], generator=generator) for each in mine.values()]
    # all prompts name a kind, so of none its strongest is told; of "red kind" and "blue kind" twice their share
    assert [len(each) for each in weights] == [11 - 2 + 2, 4]
    for block in mine.values():
        assert float(block.columns.square().sum(dim=1).mean()) == pytest.approx(1, abs=0.02)
    head = TasteHead(head_of(mine, torch.tensor(0.5), weights))
    assert head.asks_tags
    again = TasteHead.from_tensors(head.reads, head.to_tensors())
    scores = [each(table.described, table.texts, table.scale, tags_in(table)) for each in (head, again)]
    assert torch.equal(*scores)
    with pytest.raises(InputError, match="tags"):
        head(table.described, table.texts, table.scale)
    said = sum(block.columns @ each for block, each in zip(mine.values(), weights, strict=True))
    assert float((scores[0] - 0.5 * table.cosine - said).std()) < 1e-3
    assert not TasteHead(head_of({}, torch.tensor(1.0), [])).asks_tags


def test_without_many_first_tags_there_is_nothing_to_compare_with():
    table = make_table()
    same = {prompt: next(iter(table.tags.values())) for prompt in table.prompts}
    blocks = make_blocks(
        type(table)(**{**vars(table), "tags": same}), torch.ones(200), torch.arange(40).repeat_interleave(5) % 3
    )
    assert "tags" not in blocks


def test_more_tags_than_the_memory_holds_are_all_read():
    scorer = load_scorer("tiny-hps", device="cpu")
    (alone,) = scorer.text_features(["a cat"])
    found = scorer.text_features(["a cat", *(f"thing {n}" for n in range(1100))])
    assert len(found) == 1101
    torch.testing.assert_close(found[0], alone)
