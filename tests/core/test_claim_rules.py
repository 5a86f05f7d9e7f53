"""Rules on claims: what is let in, and what looks like it and is not."""

from __future__ import annotations

import pytest

from latchgate.core.claim_rules import MAX_RULES, misfit, rules_fault

GITHUB = "https://token.actions.githubusercontent.com"
MAIN = "repo:acme/photos:ref:refs/heads/main"


@pytest.mark.parametrize(
    ("rule", "subject", "fits"),
    [
        (MAIN, MAIN, True),
        (MAIN, MAIN + "2", False),
        (MAIN, MAIN.upper(), False),
        ("repo:acme/photos:ref:refs/heads/*", MAIN, True),
        ("repo:acme/photos:ref:refs/heads/*", "repo:acme/photos:ref:refs/heads/", False),
        ("repo:acme/photos:ref:refs/heads/*", "repo:acme/photos:ref:refs/heads/a/b", False),
        (
            "repo:acme/photos:ref:refs/heads/release-*",
            "repo:acme/photos:ref:refs/heads/main",
            False,
        ),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/other:ref:refs/heads/main", True),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:y:ref:refs/heads/main", False),
        ("repo:acme/photos:*", "repo:acme/photos:pull_request", True),
        ("repo:acme/photos:*", MAIN, False),
        ("repo:acme/photos:*", "repo:acme/photos-evil:pull_request", False),
        ("repo:acme/photos:*", "xrepo:acme/photos:pull_request", False),
        ("repo:acme/photos.x:*", "repo:acme/photosyx:pull_request", False),
        ([MAIN, "repo:acme/photos:environment:*"], "repo:acme/photos:environment:prod", True),
    ],
)
def test_a_star_stands_for_part_of_one_segment_and_never_reaches_over_it(rule, subject, fits):
    assert rules_fault("https://ci.example", {"sub": rule}) is None
    assert (misfit({"sub": rule}, {"sub": subject}) is None) is fits


@pytest.mark.parametrize(
    ("rule", "claim", "fits"),
    [
        ("main", "main", True),
        (["main", "next"], "next", True),
        (["main", "next"], "mai", False),
        ("1", 1, False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        ("main", ["main"], False),
        ("main", None, False),
        ("a", {"a": "a"}, False),
    ],
    ids=str,
)
def test_a_claim_is_what_its_rule_says_in_value_and_type(rule, claim, fits):
    assert (misfit({"ref": rule}, {"ref": claim, "sub": "x"}) is None) is fits


def test_every_rule_must_fit_and_a_claim_that_is_missing_fits_none():
    rules = {"sub": MAIN, "environment": "production"}
    assert misfit(rules, {"sub": MAIN, "environment": "production", "more": 1}) is None
    assert misfit(rules, {"sub": MAIN}) == "environment"
    assert misfit(rules, {"environment": "production"}) == "sub"


@pytest.mark.parametrize(
    ("issuer", "rules", "why"),
    [
        (GITHUB, {}, "name one claim at least"),
        (GITHUB, {"ref": "refs/heads/main"}, "everybody can sign in there"),
        (GITHUB, {"sub": "repo:*"}, "are exact"),
        (GITHUB, {"sub": "*"}, "are exact"),
        (GITHUB, {"sub": "repo:*/photos:ref:refs/heads/main"}, "are exact"),
        (GITHUB, {"sub": "repo:ac*/photos:x"}, "are exact"),
        (GITHUB, {"sub": [MAIN, "repo:acme/photos:*x*"]}, "one \\*"),
        (GITHUB, {"sub": MAIN, "ref": "refs/heads/*"}, "patterns are for sub"),
        (GITHUB, {"sub": MAIN, "aud": "x"}, "'aud' can't be a rule"),
        (GITHUB, {"sub": MAIN, "iss": GITHUB}, "'iss' can't be a rule"),
        (GITHUB, {"sub": MAIN, "a b": "x"}, "can't be a rule"),
        (GITHUB, {f"c{n}": "x" for n in range(MAX_RULES + 1)}, "more than"),
        ("https://gitlab.com", {"ref": "main"}, "project_path"),
    ],
)
def test_rules_that_let_anybody_in_are_told(issuer, rules, why):
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(rules_fault(issuer, rules))


def test_matching_takes_time_by_the_length_alone():
    rule = "repo:acme/" + "/".join(["a*b"] * 60)
    assert rules_fault("https://ci.example", {"sub": rule}) is None
    assert misfit({"sub": rule}, {"sub": "repo:acme/" + "/".join(["a" * 100] * 60)}) == "sub"
