"""Write a golden package of today's format: python tests/golden/make.py NAME. It never replaces one."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "core")]

from story_of import whole  # noqa: E402
from test_verification import package  # noqa: E402

if __name__ == "__main__":
    with zipfile.ZipFile(Path(__file__).with_name(f"{sys.argv[1]}.zip"), "x", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(package(whole(), "tiny-2").items()):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
