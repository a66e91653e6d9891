"""What a story prints: heading, steps, requests with their answers, what followed. Colours on a terminal only."""

import textwrap
from typing import IO

from rich.console import Console
from rich.text import Text

WIDTH = 96


class Shown:
    """out: where to print; None: standard output."""

    def __init__(self, out: IO[str] | None = None):
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._actor = ""

    def heading(self, title: str, *lines: str) -> None:
        self._line("")
        self._line(title, "bold")
        for line in lines:
            self._wrapped(line, "  ")

    def step(self, number: int, of: int, who: str, says: str) -> None:
        self._actor = who
        self._line("")
        self._line(f"{number:>2}/{of}  {who}", "bold cyan")
        self._wrapped(says, "       ")

    def request(self, who: str, what: str, answer: str) -> None:
        """who: shown where it is not the step's actor."""
        asks = "" if who == self._actor else f"as {who}, "
        self._line(f"         {asks}{what} -> {answer}", "dim")

    def saw(self, words: str) -> None:
        self._wrapped(words, "       > ", "green")

    def failed(self, words: str) -> None:
        self._line("")
        self._wrapped(words, "", "bold red")

    def ended(self, *lines: str) -> None:
        self._line("")
        for line in lines:
            self._wrapped(line, "  ")

    def _wrapped(self, words: str, margin: str, style: str = "") -> None:
        blank = " " * len(margin)
        for line in textwrap.wrap(words, WIDTH, initial_indent=margin, subsequent_indent=blank, break_on_hyphens=False):
            self._line(line, style)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))
