"""First uses: from a network, in two environments, by two programs."""

from __future__ import annotations

import pytest
from tests.jobs.alerting import Alerting
from tests.world import FILES, compiled

from latchgate.jobs import source_alerts
from latchgate.jobs.source_alerts import labels_of, network_of
from latchgate.manage.alerts import Watch

HOUR, DAY = 3_600, 86_400
AREA = """
[[areas]]
path = "/v1/storage/{0}"
service = "storage"
accepts = ["service_key"]
environment = "{0}"
rules = [{{ methods = ["GET"], scope = "storage:read" }}]
"""
LABELLED = {
    **FILES,
    "wayscloud.toml": FILES["wayscloud.toml"] + AREA.format("staging") + AREA.format("production"),
}


@pytest.fixture
def alerting(tmp_path):
    made = Alerting(tmp_path, LABELLED)
    yield made
    made.close()


def test_a_network_is_new_after_the_first_day_and_told_once(alerting):
    key = alerting.world.key("storage")
    alert = alerting.make(Watch.NEW_NETWORK)
    for client in ("192.0.2.1", "198.51.100.7"):
        alerting.use(key, client=client)
    assert alerting.run() == []
    alerting.now += DAY
    alerting.use(key, client="192.0.2.250")  # of a network that it was used from
    assert alerting.run() == []
    alerting.use(key, client="203.0.113.9")
    assert alerting.run() == [(key.id, "203.0.113.0/24")]
    alerting.use(key, client="203.0.113.10")
    alerting.use(key, client="2001:db8:1:2::1")
    assert alerting.run() == [(key.id, "2001:db8:1::/48")]
    told = {one["data"]["address"]: one["record"] for one in alerting.told()}
    assert told == {"203.0.113.9": alert.id, "2001:db8:1:2::1": alert.id}
    alerting.now += HOUR + 1
    assert alerting.run() == []


def test_whoever_has_not_the_secret_makes_no_network_known(alerting):
    key = alerting.world.key("storage")
    alerting.make(Watch.NEW_NETWORK)
    alerting.use(key)
    alerting.now += 2 * DAY
    wrong = {"authorization": f"Bearer {key.text[:-6]}000000"}
    alerting.use(None, headers=wrong, client="203.0.113.9")
    assert alerting.run() == []


@pytest.mark.parametrize("environment", ["production", None])
def test_a_key_used_in_two_environments_is_told(alerting, environment):
    key = alerting.world.key("storage", environment=environment)
    alerting.make(Watch.ENVIRONMENTS)
    alerting.use(key, target="/v1/storage/production/x")
    alerting.use(key, target="/v1/storage/anywhere")
    assert alerting.run() == []
    alerting.use(key, target="/v1/storage/staging/x")
    assert alerting.run() == [(key.id, "production+staging")]
    alerting.use(key, target="/v1/storage/staging/y")
    assert alerting.run() == []


def test_a_key_used_in_an_area_of_another_label_is_told(alerting):
    key = alerting.world.key("storage", environment="dev")
    alerting.make(Watch.ENVIRONMENTS)
    alerting.use(key, target="/v1/storage/staging/x")
    assert alerting.run() == [(key.id, "dev+staging")]
    assert alerting.told()[0]["data"]["areas"] == ["/v1/storage/staging"]


def test_a_busy_hour_hides_nobody(alerting, monkeypatch):
    monkeypatch.setattr(source_alerts, "PAGE", 2)
    alerting.make(Watch.ENVIRONMENTS)
    keys = [alerting.world.key("storage", environment="dev") for _ in range(5)]
    for key in keys:
        alerting.use(key, target="/v1/storage/staging/x")
    assert sorted(alerting.run()) == sorted((key.id, "dev+staging") for key in keys)


def test_other_tenants_sources_are_never_told(alerting):
    stranger = alerting.world.key("storage", owner=alerting.world.somebody(), environment="dev")
    for kind in (Watch.NEW_NETWORK, Watch.ENVIRONMENTS, Watch.APPLICATIONS):
        alerting.make(kind)
    alerting.use(stranger, target="/v1/storage/staging/x")
    alerting.now += 2 * DAY
    alerting.use(stranger, client="203.0.113.9")
    assert alerting.run() == []


def test_a_path_of_two_labels_has_none(tmp_path):
    area = AREA.format("staging").replace('path = "/v1/storage/staging"', 'path = "/v1/x"')
    one = area.replace("service =", 'hosts = ["a.example"]\nservice =', 1)
    other = area.replace("service =", 'hosts = ["b.example"]\nservice =', 1)
    other = other.replace('"staging"', '"production"')
    text = FILES["wayscloud.toml"]
    assert labels_of(compiled({"wayscloud.toml": text + one}, 1)) == {"/v1/x": "staging"}
    assert labels_of(compiled({"wayscloud.toml": text + one + other}, 1)) == {}
    assert labels_of(compiled({"wayscloud.toml": text}, 1)) == {}


def test_networks_are_as_wide_as_a_place():
    assert network_of("192.0.2.77") == "192.0.2.0/24"
    assert network_of("2001:db8:aaaa:bbbb::1") == "2001:db8:aaaa::/48"
