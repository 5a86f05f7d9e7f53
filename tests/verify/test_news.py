"""One poller tells all who wait that the journal moved, and ends with them."""

from __future__ import annotations

import asyncio

from latchgate.verify.news import News


def test_who_waits_is_told_as_soon_as_the_position_grows():
    at = [5]

    async def run() -> list[int]:
        news = News(lambda: at[0])
        waiting = [asyncio.create_task(news.after(number, 30.0)) for number in (5, 5, 6)]
        await asyncio.sleep(0)
        at[0] = 6
        told = [await waiting[0], await waiting[1]]
        assert not waiting[2].done()
        at[0] = 9
        told.append(await waiting[2])
        poller = news._poller
        if poller is not None:
            await poller
        assert news._poller is None
        return told

    assert asyncio.run(asyncio.wait_for(run(), 30)) == [6, 6, 9]


def test_nobody_waits_for_what_is_there_or_longer_than_asked():
    async def run() -> list[int]:
        news = News(lambda: 5)
        return [await news.after(4, 30.0), await news.after(5, 0.0), await news.after(5, 0.02)]

    assert asyncio.run(asyncio.wait_for(run(), 30)) == [5, 5, 5]
