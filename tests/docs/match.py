"""Compares what a page shows with what came: a part suffices, and `...` stands for anything."""

import re


def differs(shown: object, came: object, at: str = "$") -> str:
    """Where JSON that a page shows is not in the answer; empty where it is.

    Of an object the members shown must be there, of a list the entries shown, in their order.
    """
    if isinstance(shown, str) and "..." in shown:
        return "" if _glob(shown).fullmatch(str(came)) else f"{at}: {came!r} is not {shown!r}"
    if isinstance(shown, dict):
        if not isinstance(came, dict):
            return f"{at}: not an object"
        missing = [name for name in shown if name not in came]
        if missing:
            return f"{at}: has no {missing[0]}"
        return next((d for name in shown if (d := differs(shown[name], came[name], f"{at}.{name}"))), "")
    if isinstance(shown, list):
        return _list(shown, came, at)
    return "" if shown == came else f"{at}: {came!r} is not {shown!r}"


def _list(shown: list[object], came: object, at: str) -> str:
    rest = iter(came) if isinstance(came, list) else iter(())
    for number, entry in enumerate(shown):
        if entry == "...":
            continue
        tried = []
        for candidate in rest:
            tried.append(differs(entry, candidate, f"{at}[{number}]"))
            if not tried[-1]:
                break
        else:
            return (tried or [f"{at}[{number}]: not there"])[0]
    return ""


def lines_missing(shown: str, came: str) -> str:
    """The first line of a `text` block that does not come, in order, in the output; empty where all do."""
    have = iter([_plain(line) for line in came.splitlines()])
    for line in (one for one in shown.splitlines() if one.strip()):
        wanted = _glob(_plain(line))
        if wanted.pattern != ".*" and not any(wanted.fullmatch(one) for one in have):
            return line
    return ""


def _plain(line: str) -> str:
    return " ".join(line.split())


def _glob(text: str) -> "re.Pattern[str]":
    return re.compile(".*".join(re.escape(part) for part in re.split(r" ?\.\.\. ?", text)), re.S)
