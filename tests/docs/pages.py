"""The pages under docs/ as data: their fenced blocks, links and headings. docs/README.md says what a block may be."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.harness import ROOT

DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.S | re.M)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block. info: what follows the language, a file name or `norun: reason`."""

    page: str
    line: int
    language: str
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"docs/{self.page}:{self.line}"

    @property
    def norun(self) -> str:
        """The reason why the block is not executed; empty where it is."""
        return self.info.removeprefix("norun:").strip() if self.info.startswith("norun:") else ""

    @property
    def commands(self) -> str:
        return self.text if self.language == "sh" else ""


def pages() -> list[Path]:
    return sorted(DOCS.glob("*.md"))


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page.name, text[: m.start()].count("\n") + 1, *_halves(m["info"].strip()), m["text"])
        for m in _FENCE.finditer(text)
    ]


def _halves(info: str) -> tuple[str, str]:
    language, _, rest = info.partition(" ")
    return language, rest.strip()


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Targets inside the repository."""
    return [link for link in _LINK.findall(prose(page)) if "://" not in link and not link.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))
