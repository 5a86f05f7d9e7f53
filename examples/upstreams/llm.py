"""A small language-model server in the shape of OpenAI's API, to stand behind a gateway.

It knows no keys: whoever reaches it was let through. It answers with the words it was sent,
whole or as an event stream with a pause between words, so that one can watch them pass.

    python examples/upstreams/llm.py --port 9100
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODELS = ("qwen3-80b-instruct", "echo-1")
_numbers = itertools.count(1)


def application(delay: float) -> Starlette:
    """Return the ASGI application; `delay` is the pause between streamed words, in seconds."""

    async def completions(request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
            model, text = asked["model"], asked["messages"][-1]["content"]
            stream = bool(asked.get("stream", False))
        except (ValueError, LookupError, TypeError):
            wrong = {"message": "model and messages are needed", "type": "invalid_request_error"}
            return JSONResponse({"error": wrong}, status_code=400)
        number = next(_numbers)
        words = str(text).split()
        if stream:
            events = _events(number, model, words, delay)
            return StreamingResponse(events, media_type="text/event-stream")
        return JSONResponse(_whole(number, model, words))

    async def models(_request: Request) -> Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in MODELS
        ]
        return JSONResponse({"object": "list", "data": listed})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
        ]
    )


def _whole(number: int, model: str, words: list[str]) -> dict[str, Any]:
    message = {"role": "assistant", "content": " ".join(words)}
    return {
        **_envelope(number, model, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": len(words),
            "completion_tokens": len(words),
            "total_tokens": 2 * len(words),
        },
    }


async def _events(number: int, model: str, words: list[str], delay: float) -> AsyncIterator[str]:
    yield _event(number, model, {"role": "assistant", "content": ""}, None)
    for at, word in enumerate(words):
        await asyncio.sleep(delay)
        yield _event(number, model, {"content": f" {word}" if at else word}, None)
    yield _event(number, model, {}, "stop")
    yield "data: [DONE]\n\n"


def _event(number: int, model: str, delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    told = {**_envelope(number, model, "chat.completion.chunk"), "choices": [choice]}
    return f"data: {json.dumps(told)}\n\n"


def _envelope(number: int, model: str, shape: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": shape,
        "created": int(time.time()),
        "model": model,
    }


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="A small OpenAI-shaped server.")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--delay", type=float, default=0.15, help="seconds between words")
    told = parser.parse_args()
    uvicorn.run(application(told.delay), host="127.0.0.1", port=told.port, log_level="warning")


if __name__ == "__main__":
    main()
