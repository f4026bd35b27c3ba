"""Fend: what a request must be before anything looks at it: allowed, small, here in time, and not one too many."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = ("/healthz", "/readyz")
"""Paths that need no token, and are answered however busy the router is."""


@dataclass(frozen=True)
class Rules:
    """What is let through.

    Attributes:
        token: what `Authorization: Bearer` must hold; None if anybody may ask.
        most_bytes: of a body. most_at_once: requests that are being answered or wait for it.
        patience: seconds for a body to arrive.
    """

    token: str | None
    most_bytes: int
    most_at_once: int = 64
    patience: float = 10.0


class Fence:
    """An ASGI app around another one. What it lets through has its whole body, and when it came (`state.began`)."""

    def __init__(self, app: App, rules: Rules, told: Callable[[int], None]) -> None:
        self._app, self._rules, self._told = app, rules, told
        self._inside = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope.setdefault("state", {})["began"] = time.perf_counter()
        free = scope["path"] in OPEN
        if not free and not self._allowed(scope):
            return await self._refuse(send, 401, "no valid token", "Authorization: Bearer, with the router's token")
        if not free and self._inside >= self._rules.most_at_once:
            return await self._refuse(send, 503, "too many requests at once", f"at most {self._rules.most_at_once}")
        self._inside += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self._inside -= 1

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self._rules.patience)
        except TimeoutError:
            return await self._refuse(send, 408, "a body that does not arrive", f"it within {self._rules.patience:g} s")
        if body is None:
            return await self._refuse(send, 413, "a larger body", f"at most {self._rules.most_bytes:,} bytes")
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return given.pop() if given else await receive()

        await self._app(scope, again, send)

    async def _body(self, scope: Message, receive: Receive) -> bytes | None:
        """The whole body; None if it is too large, which its length may say before it comes."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > self._rules.most_bytes:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._rules.most_bytes:
                return None
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return bytes(body)

    def _allowed(self, scope: Message) -> bool:
        if self._rules.token is None:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        due = f"Bearer {self._rules.token}".encode()
        return len(given) == 1 and hmac.compare_digest(given[0], due)

    async def _refuse(self, send: Send, status: int, got: str, expected: str) -> None:
        self._told(status)
        said = {"subject": "request", "got": got, "expected": expected, "next": _NEXT[status]}
        more = {401: (b"www-authenticate", b"Bearer"), 503: (b"retry-after", b"1")}.get(status)
        headers = [(b"content-type", b"application/json"), (b"connection", b"close"), *([more] if more else [])]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


_NEXT = {
    401: "send the token that HEADGATE_ROUTER_TOKEN names where the router runs",
    408: "send it again",
    413: "send fewer rows at once",
    503: "try again in a moment, or run more routers",
}
