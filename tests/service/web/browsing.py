"""A browser without a screen: keeps cookies, fills in the forms that a page really holds."""

import re
from html import unescape
from html.parser import HTMLParser

import httpx

from service.main import build
from service.settings import Settings
from service.store.engine import Store

BASE = "http://enlace.test"


class Forms(HTMLParser):
    """(action, fields, words of the button) of each form of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str], str]] = []
        self._words: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append((given["action"], {}, ""))
        elif tag == "input":
            self.found[-1][1][given["name"]] = given.get("value", "")
        elif tag == "button":
            self._words = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._words is not None:
            action, fields, _ = self.found[-1]
            self.found[-1] = (action, fields, " ".join("".join(self._words).split()))
            self._words = None

    def handle_data(self, data: str) -> None:
        if self._words is not None:
            self._words.append(data)


class Browser(httpx.AsyncClient):
    def __init__(self, store: Store, settings: Settings, base: str = BASE):
        self.app = build(store, settings)
        super().__init__(transport=httpx.ASGITransport(app=self.app, raise_app_exceptions=True), base_url=base)

    async def press(self, page: httpx.Response, words: str, **changes: str) -> httpx.Response:
        """Sends the first form whose button begins with these words; does not follow the redirect."""
        action, fields, _ = next(form for form in Forms(page.text).found if form[2].startswith(words))
        return await self.post(action, data=fields | changes)

    async def sign_in(self, name: str = "Ana Quispe") -> httpx.Response:
        """Signs in and returns the inbox."""
        answer = await self.press(await self.get("/"), f"Sign in as {name}")
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        return await self.get("/")


def text_of(page: httpx.Response) -> str:
    """What a reader sees, in one line."""
    bare = re.sub(r"<(noscript|script|style).*?</\1>", " ", page.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare.replace("<wbr>", ""))).split())


def shown(page: httpx.Response) -> list[str]:
    """Ids of the alerts on the page, in order."""
    return re.findall(r'id="a-([^"]+)"', page.text)
