"""UpCloud with httpx, waiting and not."""

import asyncio

from latchgate.client import UpCloud
from latchgate.client.adapters.httpx import async_client, check, client

cloud = UpCloud()
with client(cloud, timeout=30) as http:
    answer = check(cloud, http.get(f"{cloud.url}/1.3/account"))
    print(answer.json()["account"]["username"])


async def main() -> None:
    """Do the same in a task."""
    async with async_client(cloud, timeout=30) as http:
        answer = check(cloud, await http.get(f"{cloud.url}/1.3/account"))
        print(answer.json()["account"]["username"])


asyncio.run(main())
