"""Bucket: the store in S3 and in what speaks its protocol, through boto3.

Write-once is `If-None-Match: *`: of several writers the server lets one through and answers the others 412. Not every
server keeps that, so `headgate store check` must have seen a bucket keep it before it is written to. Endpoint, region
and credentials are found by boto3's own conventions (`AWS_ENDPOINT_URL_S3`, `AWS_PROFILE`, `~/.aws/config`, a role).
"""

from __future__ import annotations

import random
import re
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from hashlib import md5, sha256
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from headgate.errors import BadInput, Tampered, Unavailable
from headgate.policy import Retention
from headgate.store import check_name, is_name

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/?")
_MAKING = threading.Lock()  # threads may share a client, but not make one of the same session at once
_NO_ANSWER: tuple[type[Exception], ...] = (BotoCoreError, ResponseParserError, ValueError)
_TRIES = 8
_FIRST_PAUSE = 0.05

Retained = Callable[[], Retention | None]


class S3Store:
    """A store below a prefix of a bucket.

    Args:
        url: ``s3://bucket/prefix``, or without a prefix.
        once: take two versions of a name, or a delete marker, for a sign of tampering. False for evidence alone, where
            two versions with the same digest are the same evidence.
        page: how many names to ask for at a time.
        retained: says, when something is written, how long it must stay; used only where the bucket has Object Lock.

    Raises:
        BadInput: that is no such address.
    """

    def __init__(self, url: str, *, once: bool = True, page: int = 1000, retained: Retained | None = None) -> None:
        self.url, self._once, self._page, self._retained = url, once, page, retained
        self.bucket, self.prefix = _parts(url)

    @cached_property
    def client(self) -> Any:
        """The client, which threads may share. Raises Unavailable if boto3 cannot make one of its settings."""
        with self.asking("the client"), _MAKING:
            return _session().client("s3", config=_patience())

    @property
    def place(self) -> str:
        """Endpoint, bucket and prefix."""
        return f"{self.client.meta.endpoint_url}/{self.bucket}/{self.prefix}"

    def put(self, name: str, data: bytes) -> bool:
        """Write once.

        Where the answer leaves open whose bytes are there, they are read: after no answer, and after a 412 to a
        repeated request, whose first try may be what was there already. Equal bytes count as created by this call.

        Raises:
            Unavailable: whether the bytes were written, or will be, is not known.
        """
        key = self.key(check_name(name))
        with self.asking(name):
            told = self._put(key, data)
            created = told if isinstance(told, bool) else self._ours(name, data, told)
            if not created and self._lock:
                self._prolong(key)
            return created

    def get(self, name: str) -> bytes | None:
        """The whole bytes under a name, or None if there are none."""
        key = self.key(check_name(name))
        with self.asking(name):
            try:
                return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            except ClientError as error:
                if code(error) != "NoSuchKey":
                    raise
                return None

    def names(self, prefix: str) -> list[str]:
        """All names that start with a prefix, sorted; a key that is no name is left out.

        Raises:
            Tampered: a name was written twice, or deleted, and the bucket keeps the versions that show it.
        """
        found = self.versions(prefix)
        twice = {name: count for name, count in found.items() if count != (1, 0)}
        if self._once and twice:
            raise self._rewritten(*min(twice.items()), len(twice))
        return sorted(found)

    def versions(self, prefix: str) -> dict[str, tuple[int, int]]:
        """How many versions and how many delete markers each name has. Without versioning, a name has one version."""
        folder = prefix.rpartition("/")[0]
        if folder:
            check_name(folder)
        versions, markers = Counter[str](), Counter[str]()
        asked = {"Bucket": self.bucket, "Prefix": self.key(prefix), "PaginationConfig": {"PageSize": self._page}}
        with self.asking(prefix or "all names"):
            for page in self.client.get_paginator("list_object_versions").paginate(**asked):
                versions.update(self._name(version["Key"]) for version in page.get("Versions", ()))
                markers.update(self._name(marker["Key"]) for marker in page.get("DeleteMarkers", ()))
        return {name: (versions[name], markers[name]) for name in {*versions, *markers} if is_name(name)}

    def key(self, name: str) -> str:
        """The object's key of a name."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def _name(self, key: str) -> str:
        return key.removeprefix(self.key(""))

    @cached_property
    def locks(self) -> str:
        """What the bucket says of its Object Lock: Enabled, or off."""
        with self.asking("Object Lock"):
            try:
                told = self.client.get_object_lock_configuration(Bucket=self.bucket)["ObjectLockConfiguration"]
            except ClientError as error:
                if code(error) != "ObjectLockConfigurationNotFoundError":
                    raise
                told = {}
        return str(told.get("ObjectLockEnabled", "off"))

    @cached_property
    def _lock(self) -> dict[str, Any]:
        """The retention of what is written, as S3 spells it; empty for none."""
        # To say how long may cost a reading of the whole ledger: asked only where it can be kept.
        asked = self._retained() if self._retained and self.locks == "Enabled" else None
        if not asked:
            return {}
        return {"Mode": asked.mode.upper(), "RetainUntilDate": datetime.now(UTC) + timedelta(days=asked.retention_days)}

    def _prolong(self, key: str) -> None:
        # The same bytes may be locked for longer already, by a policy that asked for more: never for less.
        kept = self.client.head_object(Bucket=self.bucket, Key=key).get("ObjectLockRetainUntilDate")
        if kept is None or kept < self._lock["RetainUntilDate"]:
            self.client.put_object_retention(Bucket=self.bucket, Key=key, Retention=self._lock)

    def _ours(self, name: str, data: bytes, error: Exception) -> bool:
        """Whether what is there are these bytes, after an error that left it open; raises it if nothing is there."""
        found = self.get(name)
        if found is None:
            raise error
        return found == data

    def _put(self, key: str, data: bytes) -> bool | Exception:
        """Whether this call created it, or the error after which that is open; any other error is raised."""
        asked = {"Bucket": self.bucket, "Key": key, "Body": data, "IfNoneMatch": "*", **checksums(data)}
        if self._lock:
            asked |= {"ObjectLockMode": self._lock["Mode"], "ObjectLockRetainUntilDate": self._lock["RetainUntilDate"]}
        for attempt in range(_TRIES):
            try:
                self.client.put_object(**asked)
                return True
            except _NO_ANSWER as error:
                return error
            except ClientError as error:
                if (told := _told(error, attempt)) is not None:
                    return told
            time.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  # keeps writers apart
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def asking(self, subject: str) -> Iterator[None]:
        """While the bucket is asked: whatever boto3 raises becomes `Unavailable`."""
        try:
            yield
        except (ClientError, *_NO_ANSWER) as error:
            raise self._unavailable(subject, error) from error

    def _unavailable(self, subject: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"store {self.url}, {subject}",
            got=f"{type(error).__name__}: {error}",
            expected="an answer",
            next_step="check the bucket, the endpoint and the credentials as boto3 finds them, then repeat the command",
        )

    def _rewritten(self, name: str, count: tuple[int, int], names: int) -> Tampered:
        return Tampered(
            f"store {self.url}, {name}",
            got=f"{count[0]} version(s) and {count[1]} delete marker(s); such names: {names}",
            expected="one version: every name is written once and never deleted",
            next_step="keep all versions for the investigation; the oldest is what was written first",
        )


def checksums(data: bytes) -> dict[str, str]:
    """What lets a server refuse bytes that were damaged on the way: SHA-256, and MD5 for those that know no other."""
    digests = {"ChecksumSHA256": sha256(data), "ContentMD5": md5(data, usedforsecurity=False)}
    return {name: b64encode(digest.digest()).decode() for name, digest in digests.items()}


def code(error: Any) -> str:
    """The code of an error that the server answered, e.g. ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _told(error: Any, attempt: int) -> bool | Exception | None:
    """What an answered error says of a write: False, the error itself if that leaves it open, None to try again."""
    answer = error.response["ResponseMetadata"]
    status, repeated = answer["HTTPStatusCode"], attempt or answer.get("RetryAttempts")
    if status == 412 and not repeated:
        return False
    if status == 412 or status >= 500:
        return error  # type: ignore[no-any-return]  # botocore is not typed
    if status == 409 and attempt < _TRIES - 1:
        return None  # another conditional write was under way, and this one was not made
    raise error


def _parts(url: str) -> tuple[str, str]:
    match = _URL.fullmatch(url)
    if not match or (match[2] and not is_name(match[2])):
        raise BadInput(
            f"store '{url}'",
            got="no address of a bucket",
            expected="s3://bucket or s3://bucket/prefix",
            next_step="correct HEADGATE_STORE, HEADGATE_EVIDENCE or the argument",
        )
    return match[1], match[2] or ""


@cache
def _session() -> Any:
    # Reading its description of S3 takes a session 0.3 s; clients of the same session share it.
    return boto3.Session()


def _patience() -> Any:
    """How long to wait, and what not to add: checksums are ours, because older servers refuse boto3's own."""
    return Config(
        connect_timeout=5,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 3},
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
