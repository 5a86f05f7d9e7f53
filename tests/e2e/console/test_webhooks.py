"""A webhook is made, its secret shown once, tested, and told of in its list."""

import re

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_a_webhook_is_made_and_tested(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/alerts/webhooks")
    shown.get_by_role("link", name="Make the first webhook").click()
    # Nothing answers there: an address that is given to nobody (RFC 2606).
    shown.get_by_label("Address").fill("https://hooks.invalid/latchgate")
    shown.get_by_label("What it is for").fill("The chat")
    shown.get_by_label("An alert was raised").check()
    shown.get_by_role("button", name="Make it").click()
    secret = shown.locator("code.secret").last.inner_text()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]+", secret)
    shown.get_by_role("link", name="I have kept it").click()
    assert secret not in shown.content()
    expect(shown.get_by_text("Nothing was sent to it so far.")).to_be_visible()
    shown.get_by_role("button", name="Send a test").click()
    expect(shown.get_by_text("webhook.test")).to_be_visible()
    shown.get_by_role("link", name="All webhooks").click()
    expect(shown.get_by_role("link", name="https://hooks.invalid/latchgate")).to_be_visible()
    expect(shown.get_by_role("cell", name="An alert was raised")).to_be_visible()
