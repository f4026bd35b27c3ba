"""Pry: try at a bucket what should be refused, and see whether it took effect all the same."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from headgate.conformance import Bucket, Try
from headgate.errors import HeadgateError
from tasks.bucket import S3Store, checksums, code

_FIRST, _SECOND = b"first", b"second"
_SOON = 60


def pry(store: S3Store, prefix: str) -> Bucket:
    """Everything that one can try at a bucket, on names that begin with a prefix."""
    return Bucket(
        signed=_tried(store, f"{prefix}signed", lambda name: _presigned(store, name)),
        forged=_tried(store, f"{prefix}forged", lambda name: _presigned(store, name, _forged), first=None),
        damaged=_tried(store, f"{prefix}damaged", lambda name: _damaged(store, name), first=None),
        unconditional=_tried(store, f"{prefix}unconditional", lambda name: _unconditional(store, name)),
        erased=_tried(store, f"{prefix}erased", lambda name: _erased(store, name)),
        versioning=_told(lambda: _versioning(store)),
        lock=_told(lambda: store.locks),
    )


def clear(store: S3Store, prefix: str) -> None:
    """Delete all versions of what begins with a prefix; what cannot be deleted stays."""
    asked = {"Bucket": store.bucket, "Prefix": store.key(prefix)}
    # It is what a check leaves behind, not what it found: a bucket that keeps it is not the worse for it.
    with suppress(ClientError, HeadgateError), store.asking(prefix):
        for page in store.client.get_paginator("list_object_versions").paginate(**asked):
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                with suppress(ClientError):
                    store.client.delete_object(Bucket=store.bucket, Key=version["Key"], VersionId=version["VersionId"])


def _tried(store: S3Store, name: str, act: Callable[[str], str], first: bytes | None = _FIRST) -> Try:
    """Act on a name that holds `first`, or nothing, and see whether it still does."""
    try:
        if first is not None:
            store.put(name, first)
        answer = _answered(store, name, act)
        return Try(answer=answer, changed=store.get(name) != first)
    except HeadgateError as error:
        return Try(answer=error.got, changed=None)


def _answered(store: S3Store, name: str, act: Callable[[str], str]) -> str:
    with store.asking(name):
        try:
            return act(name)
        except ClientError as error:
            return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {code(error)}"


def _presigned(store: S3Store, name: str, changed: Callable[[str], str] = str) -> str:
    said = {"Bucket": store.bucket, "Key": store.key(name), "IfNoneMatch": "*"}
    url = store.client.generate_presigned_url("put_object", Params=said, ExpiresIn=_SOON)
    request = AWSRequest("PUT", changed(url), headers={"If-None-Match": "*"}, data=_SECOND).prepare()
    session = URLLib3Session(verify=os.environ.get("AWS_CA_BUNDLE") or True)
    try:
        return str(session.send(request).status_code)
    finally:
        session.close()


def _forged(url: str) -> str:
    return re.sub(r"(?<=Signature=)\w", lambda first: "1" if first[0] == "0" else "0", url)


def _damaged(store: S3Store, name: str) -> str:
    return _done(store.client.put_object(Bucket=store.bucket, Key=store.key(name), Body=_SECOND, **checksums(_FIRST)))


def _unconditional(store: S3Store, name: str) -> str:
    return _done(store.client.put_object(Bucket=store.bucket, Key=store.key(name), Body=_SECOND))


def _erased(store: S3Store, name: str) -> str:
    return _done(store.client.delete_object(Bucket=store.bucket, Key=store.key(name)))


def _done(answer: Any) -> str:
    return str(answer["ResponseMetadata"]["HTTPStatusCode"])


def _versioning(store: S3Store) -> str:
    with store.asking("versioning"):
        return str(store.client.get_bucket_versioning(Bucket=store.bucket).get("Status") or "off")


def _told(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except HeadgateError as error:
        return f"not told: {error.got}"
