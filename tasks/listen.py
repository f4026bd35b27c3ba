"""Listen: an app at an address, until somebody ends it."""

from __future__ import annotations

import socket
from typing import Any

from headgate.errors import BadInput

PATIENCE = 10
"""Seconds that requests are given to end."""


def at(host: str, port: int) -> socket.socket:
    """A socket that listens, so that its address is known before anything answers there.

    Args:
        port: 0 for a free one.

    Raises:
        BadInput: that address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of a socket that does not name its protocol, asyncio leaves Nagle's algorithm on: 40 ms for every answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
        return listening
    except OSError as error:
        listening.close()
        raise BadInput(
            f"address {host}, port {port}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            expected="an address of this machine and a port that is free",
            next_step="choose others with --host and --port; port 0 is a free one",
        ) from error


def url_of(listening: socket.socket) -> str:
    """The address of a socket for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_of(app: Any) -> Any:
    """A server for an app, which `run(sockets=[...])` runs. A signal ends it when its requests have ended."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=PATIENCE,
        limit_concurrency=512,
        proxy_headers=False,
        lifespan="off",
        ws="none",
    )
    return uvicorn.Server(config)
