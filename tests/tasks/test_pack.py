from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from headgate.errors import BadInput
from tasks import pack as packing
from tasks.pack import archive_of, pack, unpack

FILES = {"manifest.json": b"{}", "approvals/a.txt": b"yes", "card.md": b"# x"}


def test_folder_and_archive_hold_the_same_and_the_archive_has_one_spelling(tmp_path: Path) -> None:
    first, second = tmp_path / "m-1", tmp_path / "other" / "m-1"
    pack(first, FILES)
    pack(second, dict(reversed(FILES.items())))
    assert unpack(first) == unpack(archive_of(first)) == FILES
    assert archive_of(first).read_bytes() == archive_of(second).read_bytes()
    pack(first, {"approvals/b.txt": b"too"})
    assert unpack(archive_of(first)) == unpack(first) == FILES | {"approvals/b.txt": b"too"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m-1", "m-1.zip", "other"]


def test_an_archive_without_a_folder_is_a_package_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("manifest.json", b"{}")
        archive.writestr("approvals/a.txt", b"")
    assert unpack(tmp_path / "x.zip") == {"manifest.json": b"{}", "approvals/a.txt": b""}


def test_what_is_no_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadInput, match="BadZipFile"):
        unpack(tmp_path / "no.zip")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a", b"shown")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"checked")
    with pytest.raises(BadInput, match="several files called a"):
        unpack(tmp_path / "twice.zip")
    pack(tmp_path / "m-1", FILES)
    monkeypatch.setattr(packing, "MOST_BYTES", 5)
    for place in (tmp_path / "m-1", tmp_path / "m-1.zip"):
        with pytest.raises(BadInput, match="3 files of 8 bytes"):
            unpack(place)
