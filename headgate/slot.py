"""Slots: where the entries of a ledger lie in a store, and their stored bytes."""

from __future__ import annotations

import re
from itertools import islice

from headgate.errors import BadInput
from headgate.store import Store

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SLOT = re.compile(r"([0-9]{9})\.json")
_REASKED = 1000


def slots(store: Store, model: str) -> dict[int, bytes]:
    """The stored bytes of each slot of a model, unverified. Other files beside the slots are not entries."""
    folder = slot_name(model, 0).rpartition("/")[0] + "/"
    names = (_SLOT.fullmatch(name.removeprefix(folder)) for name in store.names(folder))
    listed = {int(match[1]) for match in names if match}
    # A listing made while others write may miss a slot and show a later one. It misses few: more is a real gap.
    missed = islice((slot for slot in range(max(listed, default=0)) if slot not in listed), _REASKED)
    asked = ((slot, store.get(slot_name(model, slot))) for slot in sorted({*listed, *missed}))
    return {slot: data for slot, data in asked if data is not None}


def slot_name(model: str, slot: int) -> str:
    """Where the store has a slot. Raises BadInput if that is no model's name."""
    if not _MODEL.fullmatch(model):
        raise BadInput(
            "model name",
            got=repr(model),
            expected="1 to 100 letters, digits, '.', '_', '-', the first a letter or digit",
            next_step="use the name of the policy's [model] table",
        )
    return f"ledger/{model}/{slot:09}.json"
