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
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
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
