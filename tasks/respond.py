"""Respond: the reference router's HTTP. It has no users of its own: put a proxy before it, or give it a token.

POST /models/{model}/predict    one row or a list: who is served by which version, and what it says
POST /models/{model}/outcomes   what became of a request: its id, and the label
POST /models/{model}/reports    what a person says about an answer: its id, and a text
GET  /healthz /readyz /metrics  for whoever runs it
GET  /                          who is served what, for people
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from headgate.board import board
from headgate.errors import BadInput, HeadgateError
from headgate.inquiry import MOST_BYTES, Ask, Asks, Known, Knowns, Told
from headgate.reply import Reply
from tasks.dispatch import Router
from tasks.fend import App, Fence, Rules
from tasks.jot import Full
from tasks.record import now

THREADS = 4
"""Requests that are computed at once; others wait for their turn."""

_SHOWN = 5
T = TypeVar("T")


def respond(router: Router, token: str | None = None, rules: Rules | None = None) -> App:
    """The app of a router that was started.

    Args:
        token: demanded of everything but `/healthz` and `/readyz`; None if anybody may ask who can reach it.
    """
    app = FastAPI(title="Headgate router", docs_url=None, redoc_url=None)
    threads = CapacityLimiter(THREADS)

    async def apart(act: Callable[[], T]) -> T:
        return await to_thread.run_sync(act, limiter=threads)

    app.add_exception_handler(HeadgateError, _told)
    app.add_exception_handler(RequestValidationError, _misshapen)
    _asking(app, router, apart)
    _watching(app, router, apart)
    return Fence(app, rules or Rules(token, MOST_BYTES), router.gauges.fenced)


def _asking(app: FastAPI, router: Router, apart: Any) -> None:
    @app.post("/models/{model}/predict")
    async def predict(model: str, asks: Asks, request: Request) -> Response:
        began, rows = request.state.began, [asks] if isinstance(asks, Ask) else asks
        said = await apart(lambda: router.answer(model, rows, began))
        return _one(said[0]) if isinstance(asks, Ask) else _many(said)

    @app.post("/models/{model}/outcomes")
    async def outcomes(model: str, known: Knowns) -> Response:
        rows = [known] if isinstance(known, Known) else known
        await apart(lambda: router.learn(model, rows))
        return JSONResponse({"accepted": len(rows)}, 202)

    @app.post("/models/{model}/reports")
    async def reports(model: str, told: Told) -> Response:
        await apart(lambda: router.complain(model, told))
        return JSONResponse({"accepted": 1}, 202)


def _watching(app: FastAPI, router: Router, apart: Any) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        return JSONResponse({"alive": True})

    @app.get("/readyz")
    async def readyz() -> Response:
        troubles = await to_thread.run_sync(router.troubles)  # not behind the requests that wait
        return JSONResponse({"ready": not troubles, "troubles": troubles}, 503 if troubles else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        await apart(router.seats)
        return Response(router.gauges.page(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/")
    async def page() -> Response:
        found = await apart(lambda: board(router.seats(), router.troubles(), now()))
        return Response(found, media_type="text/html", headers={"X-Content-Type-Options": "nosniff"})


def _one(said: Reply) -> Response:
    return JSONResponse(_plain(said), 200 if said.refusal is None else said.refusal.status)


def _many(said: list[Reply]) -> Response:
    """All replies in the order of the rows; another status than 200 only if not one of them was answered."""
    refusals = [each.refusal.status for each in said if each.refusal is not None]
    return JSONResponse([_plain(each) for each in said], max(refusals) if len(refusals) == len(said) else 200)


def _plain(said: Reply) -> dict[str, Any]:
    about = {"id": said.id, "stage": said.stage, "version": said.version}
    if said.refusal is not None:
        return {**about, "error": _error(said.refusal.error)}
    return {**about, "scores": list(said.scores), "decision": said.decision}


def _error(error: HeadgateError) -> dict[str, str]:
    return {"subject": error.subject, "got": error.got, "expected": error.expected, "next": error.next_step}


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, HeadgateError)  # noqa: S101 - no other comes here
    status = 404 if isinstance(error, BadInput) else 429 if isinstance(error, Full) else 503
    return JSONResponse({"error": _error(error)}, status)


async def _misshapen(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - no other comes here
    # Without what was sent, which may be of a person and is known to whoever sent it.
    found = [f"{'.'.join(str(part) for part in each['loc'])[:200]}: {each['msg'][:200]}" for each in error.errors()]
    got = "; ".join(found[:_SHOWN])
    expected = "the shape that /openapi.json describes, as application/json"
    said = {"subject": "request", "got": got, "expected": expected, "next": "correct the body"}
    return JSONResponse({"error": said}, 422)
