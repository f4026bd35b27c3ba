"""Machine: where a benchmark ran, as far as it matters for its figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.race import OLDER, PEERS

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "duckdb",
    "scikit-learn",
    "fairlearn",
    "evidently",
    "mlflow",
    "tensorflow-model-analysis",
)

_ASK = """
import importlib.metadata as m, json, sys
found = {d.metadata["Name"].lower(): d.version for d in m.distributions()}
print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))
"""


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


def described() -> str:
    """Python, cores, load average, and the versions in both environments."""
    lines = [
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" load average {load()}"
    ]
    for name, python in (("newest", PEERS), ("older", OLDER)):
        lines.append(f"- {name}: {_versions(python)}")
    return "\n".join(lines)


def _versions(python: Path) -> str:
    if not python.exists():
        return "no such environment; `make bench-gates` makes it"
    told = subprocess.run([str(python), "-c", _ASK, *PACKAGES], capture_output=True, text=True, check=True)
    return ", ".join(f"{name} {version}" for name, version in json.loads(told.stdout).items())
