"""Signing by a real ssh-agent, whose keys this process never sees."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_folder import PEOPLE
from stage import Stage

from headgate import sshsig
from headgate.errors import BadInput
from headgate.sshkey import PublicKey
from tasks import agent
from tasks.approve import answer
from tasks.record import Case, standing

pytestmark = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="OpenSSH is not installed: no agent to ask")


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An agent of one's own, and how it is given a key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    while not socket.exists():
        assert process.poll() is None
    yield lambda key: subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True) and None
    process.terminate()
    process.wait()


@pytest.fixture
def waiting(stage: Stage) -> Case:
    return stage.open("approve", training=str(stage.toy.training))


def people(case: Case) -> list[tuple[str, str]]:
    return [(a.record.person, a.record.role) for a in standing(case).approvals]


def test_the_agent_signs_with_the_key_that_is_listed_for_the_role(
    stage: Stage, waiting: Case, add: Callable[[Path], None]
) -> None:
    for role in ("product", "risk"):
        add(stage.toy.keys[role])
    for role in ("risk", "product"):
        assert answer(waiting, role=role, key=None) == PEOPLE[role]
    assert people(waiting) == [(PEOPLE["risk"], "risk"), (PEOPLE["product"], "product")]


def test_a_public_key_names_the_one_that_signs(
    stage: Stage, waiting: Case, add: Callable[[Path], None], tmp_path: Path
) -> None:
    add(stage.toy.keys["risk"])
    named = tmp_path / "id.pub"
    named.write_text(f"{sshsig.public_key(stage.toy.keys['risk'].read_bytes()).text} ana@laptop\n")
    assert answer(waiting, role="risk", key=named) == PEOPLE["risk"]
    named.write_text(f"{sshsig.public_key(stage.toy.keys['product'].read_bytes()).text}\n")
    with pytest.raises(BadInput, match=r"ssh-agent(?s:.*)--key"):
        answer(waiting, role="product", key=named)
    named.write_text("ssh-ed25519 AAAA")
    with pytest.raises(BadInput):
        answer(waiting, role="product", key=named)
    assert people(waiting) == [(PEOPLE["risk"], "risk")]


def test_a_key_for_another_role_is_not_asked(stage: Stage, waiting: Case, add: Callable[[Path], None]) -> None:
    with pytest.raises(BadInput, match="no identities"):
        answer(waiting, role="risk", key=None)
    add(stage.toy.keys["product"])
    with pytest.raises(BadInput, match="1 keys in ssh-agent, none of which signs in risk@headgate"):
        answer(waiting, role="risk", key=None)
    assert people(waiting) == []


def test_without_an_agent_or_its_programs_it_says_so(
    stage: Stage, waiting: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(BadInput, match="authentication agent"):
        answer(waiting, role="risk", key=None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInput, match="ssh-add"):
        answer(waiting, role="risk", key=None)
    key = sshsig.public_key(stage.toy.keys["risk"].read_bytes())
    with pytest.raises(BadInput, match="ssh-keygen"):
        agent.sign(PublicKey(key.blob), b"text", "risk@headgate")
