"""Ask for a completion with OpenAI's client, whole and streamed, and print what arrived when.

    OPENAI_BASE_URL=… python openai_chat.py WORDS KEY…

A line of JSON for each key: what was answered, or which error the client raised.
"""

import json
import sys
import time
from typing import Any

import openai


def chat(client: openai.OpenAI, words: str) -> dict[str, Any]:
    """Ask for everything that a language model's key opens."""
    models = [model.id for model in client.models.list()]
    said: Any = [{"role": "user", "content": words}]
    whole = client.chat.completions.create(model=models[0], messages=said)
    pieces, times = [], []
    stream: Any = client.chat.completions.create(model=models[0], messages=said, stream=True)
    for chunk in stream:
        times.append(time.monotonic())
        pieces.append(chunk.choices[0].delta.content or "")
    return {
        "models": models,
        "whole": whole.choices[0].message.content,
        "pieces": pieces,
        "seconds": times[-1] - times[0],
    }


for key in sys.argv[2:]:
    try:
        with openai.OpenAI(api_key=key, max_retries=0) as client:
            told = chat(client, sys.argv[1])
    except openai.APIStatusError as error:
        told = {"error": type(error).__name__, "status": error.status_code, "body": error.body}
    print(json.dumps(told))
