"""UpCloud with requests."""

from latchgate.client import UpCloud
from latchgate.client.adapters.requests import Session, check

cloud = UpCloud()
with Session(cloud) as session:
    answer = check(cloud, session.get(f"{cloud.url}/1.3/account", timeout=30))
    print(answer.json()["account"]["username"])
