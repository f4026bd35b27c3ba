"""Buckets on a real server: moto's, over HTTP, alone or behind a proxy that loses answers."""

from __future__ import annotations

import http.client
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

_numbers = itertools.count()


def made(**given: Any) -> str:
    """The address of a new bucket, e.g. with `ObjectLockEnabledForBucket=True`."""
    from tasks.bucket import S3Store

    url = f"s3://bucket-{next(_numbers)}"
    store = S3Store(url)
    store.client.create_bucket(Bucket=store.bucket, **given)
    return url


Passing = Callable[[], tuple[int, bytes]]
Loss = Callable[[BaseHTTPRequestHandler, Passing], tuple[int, bytes] | None]


@contextmanager
def proxied(server: str, loss: Loss) -> Iterator[None]:
    """While a proxy of the server is where boto3 looks; its answers to PUT are those of `loss`, none where it is None.

    Args:
        loss: is given the request, and what passes it on and returns the server's status and body.
    """
    address = urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # for `Expect: 100-continue`, which boto3 else waits a second for

        def _pass_on(self) -> tuple[int, bytes]:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            there = http.client.HTTPConnection(address, timeout=20)
            there.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Expect"})
            answer = there.getresponse()
            found = answer.status, answer.read()
            there.close()
            return found

        def _answer(self) -> None:
            answer = loss(self, self._pass_on) if self.command == "PUT" else self._pass_on()
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer[1])

        do_GET = do_PUT = do_DELETE = _answer  # noqa: N815  # names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{proxy.server_port}")
            yield
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
