"""The command line as a user runs it: new processes, and nothing of the tests' own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_folder import REQUESTER, Toy

COMMAND = Path(sys.executable).with_name("headgate")


@dataclass
class Terminal:
    """Runs commands in the toy's home."""

    toy: Toy

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "HEADGATE_"))}
        places = {"HEADGATE_HOME": str(self.toy.home), "HEADGATE_EXPECTATIONS": str(self.toy.folder.parent)}
        return {**kept, **places, "HEADGATE_USER": REQUESTER, "COLUMNS": "160"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        return subprocess.Popen([str(COMMAND), *words], env=self.environment, cwd=self.toy.folder, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == expect, f"{words} ended with {process.returncode}:\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", expect=expect).stdout)
