"""The prompt inside a ComfyUI graph (API format): from the saved picture to its sampler, from there to the texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from lib_hps.infotext import Generation

Node = Mapping[str, Any]
_SETTINGS = {
    "steps": "Steps",
    "sampler_name": "Sampler",
    "scheduler": "Schedule type",
    "cfg": "CFG scale",
    "seed": "Seed",
    "noise_seed": "Seed",
}
# where text nodes of the core and of the common packs keep their words, in order of preference
_TEXT_KEYS = (
    "populated_text",
    "text",
    "text_g",
    "text_l",
    "clip_l",
    "t5xxl",
    "string",
    "value",
    "prompt",
    "wildcard_text",
)
_LONGEST_TEXT = 100_000
_MOST_TRIED = 16  # outputs, and samplers: a hostile graph must not cost more than a real one


def read_graph(graph: Mapping[str, Any]) -> Generation | None:
    """Read `{id: {class_type, inputs}}`; None without a sampler that has a text. Cycles and broken links do no harm."""
    nodes = {str(key): node for key, node in graph.items() if _is_node(node)}
    for sampler in islice(_samplers(nodes), _MOST_TRIED):
        prompt = _conditioning(nodes, sampler, ("positive", "conditioning", "guider"))
        if prompt is not None:
            settings = _settings(nodes, sampler)
            return Generation(prompt, _conditioning(nodes, sampler, ("negative",)) or "", settings, "comfyui")
    return None


def _is_node(node: object) -> bool:
    return (
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
    )


def _linked(nodes: Mapping[str, Node], value: object) -> str | None:
    """Id of the node that a link `[id, output]` comes from."""
    if isinstance(value, list) and len(value) == 2 and str(value[0]) in nodes:
        return str(value[0])
    return None


def _upstream(nodes: Mapping[str, Node], start: str) -> Iterator[str]:
    """`start` and all that feeds it, nearest first."""
    seen, queue = {start}, [start]
    while queue:
        here = queue.pop(0)
        yield here
        for value in nodes[here]["inputs"].values():
            source = _linked(nodes, value)
            if source is not None and source not in seen:
                seen.add(source)
                queue.append(source)


def _samplers(nodes: Mapping[str, Node]) -> Iterator[Node]:
    """Samplers nearest to a saved picture first, then any other."""
    given = set()
    outputs = [
        key for key, node in nodes.items() if "image" in node["class_type"].lower() and "images" in node["inputs"]
    ]
    for output in outputs[:_MOST_TRIED]:
        for key in _upstream(nodes, output):
            if key not in given and _is_sampler(nodes[key]):
                given.add(key)
                yield nodes[key]
    yield from (node for key, node in nodes.items() if key not in given and _is_sampler(node))


def _is_sampler(node: Node) -> bool:
    return "sampler" in node["class_type"].lower() and bool({"positive", "guider"} & set(node["inputs"]))


def _conditioning(nodes: Mapping[str, Node], node: Node, keys: tuple[str, ...]) -> str | None:
    """The first text upstream of the first of `keys` that is linked."""
    for key in keys:
        start = _linked(nodes, node["inputs"].get(key))
        if start is None:
            continue
        if key == "guider":
            return _conditioning(nodes, nodes[start], ("positive", "conditioning"))
        for here in _upstream(_without_negative(nodes, keys), start):
            if (text := _own_text(nodes[here])) is not None:
                return text
    return None


def _without_negative(nodes: Mapping[str, Node], keys: tuple[str, ...]) -> Mapping[str, Node]:
    """Nodes such as ControlNetApply pass both prompts through: walk only the asked side."""
    unwanted = "positive" if "negative" in keys else "negative"
    if not any(unwanted in node["inputs"] for node in nodes.values()):
        return nodes
    return {
        key: {**node, "inputs": {name: value for name, value in node["inputs"].items() if name != unwanted}}
        for key, node in nodes.items()
    }


def _own_text(node: Node) -> str | None:
    if "loader" in node["class_type"].lower():
        return None
    for key in _TEXT_KEYS:
        value = node["inputs"].get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()[:_LONGEST_TEXT]
    return None


def _settings(nodes: Mapping[str, Node], sampler: Node) -> dict[str, str]:
    """Numbers and names given to the sampler, directly or by one node (seed, primitive, scheduler nodes)."""
    found: dict[str, str] = {}
    direct = dict(sampler["inputs"])
    for name, value in sampler["inputs"].items():
        source = _linked(nodes, value)
        if source is not None and name not in ("positive", "negative", "model", "latent_image"):
            direct = {**nodes[source]["inputs"], **direct, **_primitive(name, nodes[source])}
    for key, name in _SETTINGS.items():
        if isinstance(direct.get(key), (str, int, float)) and name not in found:
            found[name] = str(direct[key])
    return found


def _primitive(name: str, node: Node) -> dict[str, Any]:
    value = node["inputs"].get(name, node["inputs"].get("value"))
    return {name: value} if name in _SETTINGS and isinstance(value, (str, int, float)) else {}
