"""Ask for a completion with OpenAI's client, whole and streamed, and print what arrived when.

OPENAI_BASE_URL=… OPENAI_API_KEY=… python openai_chat.py WORDS
"""

import json
import sys
import time

import openai

words = sys.argv[1]
try:
    with openai.OpenAI(max_retries=0) as client:
        models = [model.id for model in client.models.list()]
        whole = client.chat.completions.create(
            model=models[0], messages=[{"role": "user", "content": words}]
        )
        pieces, times = [], []
        for chunk in client.chat.completions.create(
            model=models[0], messages=[{"role": "user", "content": words}], stream=True
        ):
            times.append(time.monotonic())
            pieces.append(chunk.choices[0].delta.content or "")
except openai.APIStatusError as error:
    print(json.dumps({"error": type(error).__name__, "status": error.status_code}))
    sys.exit(3)
print(
    json.dumps(
        {
            "models": models,
            "whole": whole.choices[0].message.content,
            "pieces": pieces,
            "seconds": times[-1] - times[0],
        }
    )
)
