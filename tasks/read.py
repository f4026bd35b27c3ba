"""Read: a model's folder under `expectations/`. Every command imports this, so it imports what reads when it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headgate.errors import BadInput

if TYPE_CHECKING:
    from headgate.policy import Policy
    from headgate.signers import AllowedSigners

SIGNERS = "allowed_signers"


@dataclass(frozen=True)
class Site:
    """Where the records are, and where the models' folders are.

    Attributes:
        home: the folder of `headgate.home.Home`.
        expectations: the folder that was named; None for ./expectations, or those that Headgate brings along.
    """

    home: Path
    expectations: Path | None

    def folder(self, model: str) -> Path:
        """The folder of a model, whether it exists or not."""
        here, bundled = Path("expectations"), Path(__file__).resolve().parent.parent / "expectations"
        return (self.expectations or (here if here.is_dir() else bundled)).resolve() / model

    def folders(self) -> list[Path]:
        """The folders of all models that have a policy, by name."""
        return sorted(path.parent for path in self.folder("").glob("*/policy.toml"))


def read_policy(folder: Path) -> Policy:
    """The policy in a model's folder.

    Raises:
        BadInput: there is none, it is not valid, or it is the policy of a model with another name.
    """
    from headgate.policy_file import parse

    path = folder / "policy.toml"
    policy = parse(read_file(path), str(path))
    if policy.model.name != folder.name:
        raise BadInput(
            f"policy {path}",
            got=f"model.name = '{policy.model.name}' in a folder called '{folder.name}'",
            expected="one name",
            next_step="rename the folder or the model",
        )
    return policy


def read_scenarios(folder: Path, policy: Policy) -> bytes | None:
    """The scenarios that the policy names, checked; None if it names none.

    Raises:
        BadInput: there is no such file, or it is not what `headgate.scenario_file` describes.
    """
    from headgate.scenario_file import parse

    if policy.scenarios is None:
        return None
    data = read_file(folder / policy.scenarios)
    parse(data, str(folder / policy.scenarios))
    return data


def read_signers(folder: Path) -> AllowedSigners:
    """Who may sign for the model in `folder`.

    Raises:
        BadInput: there is no such file, or it is not in OpenSSH's format.
    """
    from headgate.signers import AllowedSigners

    path = folder / SIGNERS
    try:
        return AllowedSigners.parse(read_file(path).decode())
    except UnicodeDecodeError as error:
        raise BadInput(
            f"file {path}", got=f"bytes that are no UTF-8: {error}", expected="text", next_step="save it as UTF-8"
        ) from error


def read_file(path: Path) -> bytes:
    """The bytes of one of the model's files.

    Raises:
        BadInput: it cannot be read.
    """
    from headgate.part import MODEL_NAME

    if not MODEL_NAME.fullmatch(path.parent.name) or not path.is_file():
        raise BadInput(
            f"file {path}",
            got="no such file",
            expected="policy.toml, allowed_signers and two suites in a folder per model",
            next_step="check the model's name and --expectations; README.md describes the folder",
        )
    return path.read_bytes()
