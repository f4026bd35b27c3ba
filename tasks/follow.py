"""Follow: the ledgers that this process has read, so that it verifies each entry once."""

from __future__ import annotations

import os
from threading import Lock

from headgate.following import Following
from headgate.home import Home
from headgate.signing import Verifier
from tasks.place import STORE

_followed: dict[tuple[str, str, str, str], Following] = {}
_choosing = Lock()


def follow(home: Home, model: str, verifier: Verifier) -> Following:
    """What this process knows of the ledger of a model in a home, under a key, in the store that is named now."""
    place = (str(home.root.resolve()), os.environ.get(STORE, ""), model, verifier.key_id)
    with _choosing:
        return _followed.setdefault(place, Following(model, verifier))
