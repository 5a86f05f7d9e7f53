"""OpenAI's own client against WAYSCloud's language model behind nginx, streaming included."""

from __future__ import annotations

import json

import pytest
from tests.clients.installed import python

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

WORDS = "one two three four"


def test_completions_arrive_whole_and_word_by_word_and_refusals_as_the_clients_own_errors(
    wayscloud, llm_key, storage_key, tmp_path
):
    altered = llm_key.text[:-40] + "A" * 40
    narrow = wayscloud.latchgate.key("llm", scopes=["llm:inference"])  # but no list of models
    keys = (llm_key.text, altered, storage_key.text, narrow.text)
    env = {"OPENAI_BASE_URL": f"{wayscloud.url}/v1"}
    done = python("openai_chat", WORDS, *keys, home=tmp_path, env=env)
    allowed, unknown, *forbidden = (json.loads(line) for line in done.stdout.splitlines())

    assert "qwen3-80b-instruct" in allowed["models"]
    assert allowed["whole"] == WORDS
    assert [piece.strip() for piece in allowed["pieces"] if piece] == WORDS.split()
    # The upstream pauses before each word, 1.2 s in all; held back by nginx, all come at once.
    assert allowed["seconds"] > 0.4

    said = "Invalid or expired API key"
    assert unknown == {"error": "AuthenticationError", "status": 401, "body": said}
    said = "API key does not have permission for this service"
    denied = {"error": "PermissionDeniedError", "status": 403, "body": said}
    assert forbidden == [denied, denied]
