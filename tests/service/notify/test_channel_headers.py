"""channel.header: what can be sent along, in a sentence where it cannot; a header's value is never repeated."""

import pytest

from service.notify.channel_headers import LONGEST_HEADER, MOST_HEADERS, header_problem, header_problems, parsed


@pytest.mark.parametrize("text", ["Authorization: Bearer a.b-c", "X-A:1", "x_y: a b\tc", "X-Q: 'a', \"b\""])
def test_good_headers(text: str) -> None:
    assert header_problem(text) == ""
    name, _, value = text.partition(":")
    assert parsed([text]) == {name: value.strip()}


@pytest.mark.parametrize(
    "text",
    [
        *("", "X-A", "X-A:", ": canary", "X-A : canary", "X-A: canary\r\nX-B: 2", "X-A: canary\n", "X-A: canary\r"),
        *("X-A: canary\x00", "X-A: canáry", "X-Á: canary", "X-A: canary ", f"X-A: {'c' * LONGEST_HEADER}"),
        *("Host: canary", "content-length: 5", "Transfer-Encoding: canary", "Content-Type: canary", "Cookie: canary"),
        *("Webhook-Signature: canary", "X-Forwarded-For: canary", "Connection: canary", "Proxy-Authorization: canary"),
    ],
)
def test_bad_headers(text: str) -> None:
    problem = header_problem(text)
    assert problem.endswith(".") and "canary" not in problem
    with pytest.raises(ValueError):
        parsed([text])


def test_all_problems_at_once() -> None:
    problems = header_problems(["X-A: 1", "Host: x", "x-a: 2", "bad"] + ["X-B: 1"] * MOST_HEADERS)
    assert [problem.split(":")[0] for problem in problems[:2]] == ["Header 1", "Header 3"]
    assert len(problems) == 4 and header_problems(["X-A: 1"]) == []
