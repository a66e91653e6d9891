"""Places at a receiver: four under way, some that wait, the rest later; a failing one has no queue."""

import asyncio

import pytest

from service.notify.hosts import IN_FLIGHT, QUEUE, Hosts, NoPlace, host_of


async def test_the_fifth_waits_and_of_a_failing_host_it_comes_later() -> None:
    hosts, go_on, entered = Hosts(), asyncio.Event(), list[str]()

    async def one(host: str, *, failing: bool = False) -> None:
        async with hosts.place(host, failing=failing):
            entered.append(host)
            await go_on.wait()

    tasks = [asyncio.create_task(one("a")) for _ in range(IN_FLIGHT + QUEUE)]
    await asyncio.sleep(0.01)
    assert entered == ["a"] * IN_FLIGHT
    for failing in (True, False):
        with pytest.raises(NoPlace):
            await one("a", failing=failing)
    tasks.append(asyncio.create_task(one("b", failing=True)))
    await asyncio.sleep(0.01)
    assert entered[-1] == "b", "another host has places of its own"
    go_on.set()
    await asyncio.gather(*tasks)
    assert entered.count("a") == IN_FLIGHT + QUEUE and not hosts._places


def test_the_receiver_of_an_endpoint() -> None:
    assert host_of("https://A.example.org/x?y") == "a.example.org"
    assert host_of("https://a.example.org:8443/") == "a.example.org:8443"
    assert host_of("mailto:one@Mail.example.org") == "@mail.example.org"
    assert host_of("tel:+19165550100") == "tel"
