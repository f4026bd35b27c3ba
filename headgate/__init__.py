"""Headgate releases machine-learning models: the core, which only decides.

Nothing in this package imports Prefect, MLflow, Great Expectations, scikit-learn, pandas or boto3, and nothing
in it reads a clock or draws a random number: time, identities and seeds are arguments.

    import headgate
    model = headgate.load("employment")     # what is live, after every file was verified: see `tasks.live`
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The one name that users expect here and that acts. It is looked up when somebody asks for it: the core opens no
    # model, and whoever imports the core imports nothing that does.
    if name == "load":
        return import_module("tasks.live").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
