"""In which order files are tried; and buckets on a real server: moto's, over HTTP, where boto3 looks for one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from threading import Lock
from typing import Any

import pytest

# The day in the browser takes a third of the time that all others take together, mostly waiting: it begins first, and
# beside it run those that start no servers.
ORDER = ("street/test_pages", "core", "tasks", "street", "flows", "house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: _place(item.path.as_posix().partition("/tests/")[2]))


def _place(path: str) -> int:
    return next((n for n, start in enumerate(ORDER) if path.startswith(start)), len(ORDER))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a moto server, whose writes are taken one at a time.

    As it comes, moto looks and then writes, on several threads: on a busy machine two clients win one slot, and the
    check of a store refuses it, rightly. A server that keeps the condition of a write decides and writes in one step.
    """
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    lock, write = Lock(), S3Response.put_object

    def one_at_a_time(self: Any) -> Any:
        with lock:
            return write(self)

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", one_at_a_time)
        moto.start()
        host, port = moto.get_host_and_port()
        yield f"http://{host}:{port}"
        moto.stop()


@pytest.fixture
def aws(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, which is also where boto3 looks for one."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def bucket(aws: str) -> str:
    """The address of a new and empty bucket."""
    from buckets import made

    return made()
