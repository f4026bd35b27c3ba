"""A release begins: its policy is pinned before a row is read, and its name is its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from model_folder import REQUESTER, Toy, build

from headgate.canonical import digest_of
from headgate.errors import BadInput
from headgate.policy_file import parse
from headgate.records import Requested
from tasks.read import Site, read_file, read_policy, read_signers
from tasks.record import Case, Desk
from tasks.request import request


def ask(toy: Toy, **given: str) -> Case:
    case: Case = request.fn(str(toy.home), str(toy.folder), REQUESTER, **given)
    return case


def entries(toy: Toy) -> int:
    return Desk(toy.home, toy.name).ledger().size if toy.home.exists() else 0


def test_the_policy_is_pinned_before_a_row_is_read(toy: Toy) -> None:
    toy.training.unlink()
    toy.evaluation.unlink()
    case = ask(toy)
    desk = Desk(case.home, case.model)
    asked = desk.release(case.release).step(Requested)
    text = (toy.folder / "policy.toml").read_bytes()
    assert asked.policy_file == digest_of(text)
    assert asked.policy == parse(text, "").digest
    assert desk.evidence.get(asked.training_suite) == (toy.folder / "training.json").read_bytes()
    assert desk.evidence.get(asked.evaluation_suite) == (toy.folder / "evaluation.json").read_bytes()
    assert (asked.training, asked.evaluation) == (str(toy.training), str(toy.evaluation))
    assert (asked.requester, asked.champion) == (REQUESTER, None)


def test_what_the_file_says_later_does_not_matter(toy: Toy) -> None:
    case = ask(toy)
    path = toy.folder / "policy.toml"
    path.write_text(path.read_text().replace("min = 0.65", "min = 0.01"))
    desk = Desk(case.home, case.model)
    assert desk.policy(desk.release(case.release)).gate[0].min == 0.65
    again = ask(toy)
    assert desk.policy(desk.release(again.release)).gate[0].min == 0.01


def test_given_tables_replace_the_policys_wherever_the_caller_stands(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = ask(toy, training="mine.csv", evaluation="yours.csv")
    asked = Desk(case.home, case.model).release(case.release).step(Requested)
    assert (asked.training, asked.evaluation) == (str(tmp_path / "mine.csv"), str(tmp_path / "yours.csv"))


def test_names_count_up_per_model(toy: Toy, tmp_path: Path) -> None:
    other = build(tmp_path, "other")
    assert [ask(m).release for m in (toy, toy, other, toy)] == ["toy-1", "toy-2", "other-1", "toy-3"]


def test_those_who_ask_at_once_get_names_of_their_own(toy: Toy) -> None:
    gate, names = threading.Barrier(4), list[str]()

    def one() -> None:
        gate.wait(10)
        names.append(ask(toy).release)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(names) == ["toy-1", "toy-2", "toy-3", "toy-4"]


def _typo(folder: Path) -> None:
    path = folder / "policy.toml"
    path.write_text(path.read_text().replace("min_rows", "min_row"))


def _renamed(folder: Path) -> None:
    path = folder / "policy.toml"
    path.write_text(path.read_text().replace('name = "toy"', 'name = "toys"'))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a misspelt key": (_typo, "min_row"),
    "another model's policy": (_renamed, "model.name = 'toys' in a folder called 'toy'"),
    "no policy": (lambda f: (f / "policy.toml").unlink(), "no such file"),
    "no TOML": (lambda f: (f / "policy.toml").write_bytes(b"\xff\xfe"), "not TOML"),
    "no suite": (lambda f: (f / "evaluation.json").unlink(), "evaluation.json"),
    "no signers": (lambda f: (f / "allowed_signers").unlink(), "allowed_signers"),
    "signers in no encoding": (lambda f: (f / "allowed_signers").write_bytes(b"\xff"), "UTF-8"),
    "signers in no format": (lambda f: (f / "allowed_signers").write_text("ana@toy.example\n"), "allowed_signers"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_folder_that_cannot_be_used_opens_nothing(toy: Toy, case: str) -> None:
    spoil, told = SPOILT[case]
    ask(toy)
    spoil(toy.folder)
    with pytest.raises(BadInput, match=re.escape(told)):
        ask(toy)
    assert entries(toy) == 1


@pytest.mark.parametrize("who", ["", " dana", "dana\n", "da\u202ena", "x" * 201])
def test_a_requester_whom_a_reader_could_mistake_opens_nothing(toy: Toy, who: str) -> None:
    with pytest.raises(BadInput, match="actor"):
        request.fn(str(toy.home), str(toy.folder), who)
    assert entries(toy) == 0


def test_a_folder_whose_name_is_no_models_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "no model"
    folder.mkdir()
    (folder / "policy.toml").write_text("")
    with pytest.raises(BadInput, match=r"policy\.toml"):
        read_file(folder / "policy.toml")


def test_the_people_of_a_folder_are_read(toy: Toy) -> None:
    assert read_policy(toy.folder).model.name == "toy"
    people = {who for line in read_signers(toy.folder).lines for who in line.principals}
    assert people == {"ana@toy.example", "ben@toy.example"}


def test_the_folder_is_the_named_one_or_the_one_here_or_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = Site(home=tmp_path, expectations=None).folder("employment")
    assert (bundled / "policy.toml").is_file()
    (tmp_path / "expectations").mkdir()
    assert Site(home=tmp_path, expectations=None).folder("toy") == tmp_path / "expectations" / "toy"
    assert Site(home=tmp_path, expectations=tmp_path / "mine").folder("toy") == tmp_path / "mine" / "toy"
