"""UpCloud with httpx2; async_client is there as well."""

from latchgate.client import UpCloud
from latchgate.client.adapters.httpx2 import check, client

cloud = UpCloud()
with client(cloud, timeout=30) as http:
    answer = check(cloud, http.get(f"{cloud.url}/1.3/account"))
    print(answer.json()["account"]["username"])
