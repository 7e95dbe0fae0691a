"""Prompts as people read them: the WebUI's prompt syntax taken out before a scorer sees the text.

Grammar: AUTOMATIC1111 stable-diffusion-webui `modules/prompt_parser.py` and `extra_networks.py`. What the finished
picture was last drawn from is kept: of `[a:b:0.5]` b, of `[a::0.5]` nothing, of `[a:0.5]` a, of `[a|b]` a.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_EXTRA_NETWORK = re.compile(r"<\w+:[^<>]*>")
_AND = re.compile(r"\bAND(?:_[A-Z]+)?\b")
_BREAK = re.compile(r"\bBREAK\b")
_TRAILING_WEIGHT = re.compile(r"\s*:\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*$")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*")
_TOKEN = re.compile(r"\\[()\[\]]|[()\[\]|:]|[^\\()\[\]|:]+|\\", re.DOTALL)
MOST_TAGS = 32
_SYNTAX = re.compile(r"[(\[]|\\[)\]]|<\w+:|\bAND(?:_[A-Z]+)?\b|\bBREAK\b")


@dataclass
class _Frame:
    """An open bracket and the text inside it so far, split at the separators of its own level."""

    opener: str
    parts: list[str] = field(default_factory=lambda: [""])
    separators: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.parts[-1] += text

    def split(self, separator: str) -> None:
        self.separators.append(separator)
        self.parts.append("")

    def literal(self) -> str:
        """Everything inside, separators included."""
        rest = zip(self.separators, self.parts[1:], strict=True)
        return self.parts[0] + "".join(separator + part for separator, part in rest)

    def resolved(self) -> str:
        """What the closed bracket stands for."""
        if self.opener == "(":
            if self.separators and self.separators[-1] == ":" and _NUMBER.fullmatch(self.parts[-1]):
                self.separators.pop()
                self.parts.pop()
            return self.literal()
        if "|" in self.separators:
            first = self.separators.index("|")
            return ":".join(self.parts[: first + 1])
        if self.separators and _NUMBER.fullmatch(self.parts[-1]):
            return self.parts[-2]
        return self.literal()


def _without_brackets(text: str) -> str:
    """Resolve attention, scheduling and alternation; brackets without a partner leave their text alone."""
    stack = [_Frame("")]
    for token in _TOKEN.findall(text):
        top = stack[-1]
        if token in ("(", "["):
            stack.append(_Frame(token))
        elif token in (")", "]"):
            opener = "(" if token == ")" else "["
            if not any(frame.opener == opener for frame in stack):
                top.write(token)
                continue
            while stack[-1].opener != opener:
                _close(stack, stack[-1].literal())
            _close(stack, stack[-1].resolved())
        elif token in (":", "|") and top.opener:
            top.split(token)
        else:
            top.write(token[1:] if len(token) == 2 and token[0] == "\\" else token)
    while len(stack) > 1:
        _close(stack, stack[-1].literal())
    return stack[0].literal()


def _close(stack: list[_Frame], text: str) -> None:
    stack.pop()
    stack[-1].write(text)


def _tidied(text: str) -> str:
    """Close the gaps that removed syntax leaves."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ?,(?: ?,)*", ",", text)
    return text.strip(" ,")


def clean_prompt(text: str) -> str:
    """Take the WebUI's syntax out of a prompt; a prompt without any comes back unchanged.

    Handles `<lora:x:1>` and every other `<name:...>`, `(a:1.2)`, `((a))`, `[a]`, `[a|b]`, `[a:b:0.5]`, `[a::0.5]`,
    `[a:0.5]`, BREAK, AND with weights, escapes such as `\\(`; nested as deep as one likes. Never raises.
    """
    if not _SYNTAX.search(text):
        return text
    text = _BREAK.sub(" , ", _EXTRA_NETWORK.sub(" ", text))
    clauses = _AND.split(text)
    if len(clauses) > 1:
        clauses = [_TRAILING_WEIGHT.sub("", clause) for clause in clauses]
    return _tidied(" , ".join(_without_brackets(clause) for clause in clauses))


def tags_of(prompt: str) -> list[str]:
    """The parts between the commas and lines of a cleaned prompt: at least one, at most 32."""
    parts = [part.strip() for part in re.split(r"[,\n]", prompt)]
    return [part for part in parts if part][:MOST_TAGS] or [prompt]
