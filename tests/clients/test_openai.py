"""OpenAI's own client against WAYSCloud's language model behind nginx, streaming included."""

from __future__ import annotations

import pytest
from tests.clients.installed import python

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

WORDS = "one two three four"


def environment(wayscloud, key: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": f"{wayscloud.url}/v1", "OPENAI_API_KEY": key}


def test_a_completion_arrives_whole_and_streamed_word_by_word(wayscloud, llm_key, tmp_path):
    told = python(
        "openai_chat", WORDS, home=tmp_path, env=environment(wayscloud, llm_key.text)
    ).json()
    assert "qwen3-80b-instruct" in told["models"]
    assert told["whole"] == WORDS
    assert [piece.strip() for piece in told["pieces"] if piece] == WORDS.split()
    # The upstream pauses before each word, 1.2 s in all; held back by nginx, all come at once.
    assert told["seconds"] > 0.4


def test_refusals_are_the_clients_own_errors(wayscloud, llm_key, storage_key, tmp_path):
    altered = llm_key.text[:-40] + "A" * 40
    for key, error, status in (
        (altered, "AuthenticationError", 401),
        (storage_key.text, "PermissionDeniedError", 403),
        (
            wayscloud.latchgate.key("llm", scopes=["llm:inference"]).text,
            "PermissionDeniedError",
            403,
        ),
    ):
        told = python(
            "openai_chat", WORDS, home=tmp_path, env=environment(wayscloud, key), status=3
        ).json()
        assert told == {"error": error, "status": status}
