"""UpCloud with aiohttp."""

import asyncio

from latchgate.client import UpCloud
from latchgate.client.adapters.aiohttp import check, session


async def main() -> None:
    """Make one call."""
    cloud = UpCloud()
    async with session(cloud) as http, http.get(f"{cloud.url}/1.3/account") as answer:
        told = await (await check(cloud, answer)).json()
        print(told["account"]["username"])


asyncio.run(main())
