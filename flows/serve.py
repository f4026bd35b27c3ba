"""Serve: the reference router, which answers with what is live and follows the ledgers."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any

import click

from flows.guard import as_json, guarded, known
from tasks.read import Site

TOKEN = "HEADGATE_ROUTER_TOKEN"  # noqa: S105 - the variable's name
_SHORTEST = 16


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this machine's own "
              "addresses see it only if you name one that they reach.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Which port.")
@click.option("--models", metavar="NAMES", help="Only these, separated by commas.  [default: all, and those to come]")
@as_json
@click.pass_obj
@guarded
def serve(site: Site, host: str, port: int, models: str | None, as_json: bool) -> None:
    """Answer with the models that are live, and follow every promotion and rollback without a restart.

    \b
    Ask:     curl -s localhost:PORT/models/employment/predict -H 'Content-Type: application/json' \\
               -d '{"subject": "person-1", "audience": {"group": "employee"}, "inputs": {"age": 41, ...}}'
    Tell:    .../models/employment/outcomes   {"id": ID, "label": 1}      what became of it
             .../models/employment/reports    {"id": ID, "text": "..."}   what a person says about it
    Watch:   /  /healthz  /readyz  /metrics

    Who is served which version is what the policy's [[rollout.stage]] say: by audience and by share, the same subject
    always the same. The flags for it (flags.json in the home, in flagd's format) are written from the ledgers every
    second. A version that is behind no alias in the ledger, or of which one byte is not the registered one, is never
    served: the answer is 503 then. Questions, answers, outcomes and reports are kept below telemetry/ in the home: rows
    of people.

    It has no users, passwords or TLS of its own. Elsewhere than on this machine's own addresses, put a proxy before it
    that has; HEADGATE_ROUTER_TOKEN, of 16 characters or more, makes it demand `Authorization: Bearer TOKEN`. Ctrl-C
    ends it.
    """
    named = None if models is None else tuple(known(site, name.strip(), name.strip()) for name in models.split(","))
    token = _token(os.environ.get(TOKEN))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread each, where many are answered at once
    from tasks.dispatch import Router
    from tasks.listen import at, server_of, url_of
    from tasks.respond import respond

    with at(host, port) as listening:
        router = Router(site.home, named)
        router.start()
        try:
            _tell(url_of(listening), router.models, as_json=as_json)
            _run(server_of(respond(router, token)), listening)
        finally:
            router.close()


def _run(server: Any, listening: Any) -> None:
    # Once it has ended, it raises the signal again that ended it: that is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _tell(url: str, models: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        return click.echo(json.dumps({"router": url, "models": models}))
    click.echo(f"{url}  who is served what")
    for model in models:
        click.echo(f"{url}/models/{model}/predict")
    click.echo("Ctrl-C ends it.", err=True)


def _token(given: str | None) -> str | None:
    from headgate.errors import BadInput

    if given is not None and (len(given) < _SHORTEST or not given.isascii() or not given.isprintable()):
        raise BadInput(
            TOKEN,
            got=f"{len(given)} characters" if len(given) < _SHORTEST else "signs that no header can hold",
            expected=f"{_SHORTEST} or more printable ASCII characters, or no such variable",
            next_step="make one with `openssl rand -hex 32`, or unset it",
        )
    return given
