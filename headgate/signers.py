"""Who may sign for what, and when: OpenSSH's ``allowed_signers`` file (ssh-keygen(1), ALLOWED SIGNERS).

Only a safe part of the format is accepted, so whatever is accepted here means the same to `ssh-keygen -Y verify`:
times must be in UTC (a trailing ``Z``), certificates are refused, and every line names its namespaces, because to
OpenSSH a line without them allows every role.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from headgate.errors import BadInput
from headgate.sshkey import PublicKey

_LINE = re.compile(r'(?P<principals>[^ \t"]+)[ \t]+(?P<options>(?:[^ \t"]|"[^"\\]*")+)[ \t]+(?P<key>.+)')
_OPTION = re.compile(r'(?P<name>[a-z-]+)(?:="(?P<value>[^"\\]*)")?(?:,(?!$)|$)')
_OPTIONS = ("namespaces", "valid-after", "valid-before")
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FORM = 'PERSON namespaces="ROLE@headgate"[,valid-after="YYYYMMDDZ"][,valid-before="YYYYMMDDZ"] KIND BASE64 [COMMENT]'

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One line of the file: these principals may sign in these namespaces with this key, in this window of time."""

    principals: tuple[str, ...]
    namespaces: tuple[str, ...]
    key: PublicKey
    valid_after: datetime | None
    valid_before: datetime | None

    def allows(self, key: PublicKey, namespace: str, at: datetime) -> bool:
        """Whether this line lets this key sign in this namespace at this time; both ends of the window belong to it."""
        return (
            key == self.key
            and _matches(namespace, self.namespaces)
            and (self.valid_after is None or self.valid_after <= at)
            and (self.valid_before is None or at <= self.valid_before)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The principals that are spelled out."""
        return tuple(p for p in self.principals if not set(p) & set("*?!") and _matches(p, self.principals))


@dataclass(frozen=True)
class AllowedSigners:
    """The lines of an ``allowed_signers`` file."""

    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, text: str) -> AllowedSigners:
        """The file's lines; empty ones and those that start with ``#`` are skipped.

        Raises:
            BadInput: some lines are not understood. All of them are named, each with its number.
        """
        # Only at newlines, as OpenSSH does: another separator could hide a line behind a comment.
        numbered = ((n, line.strip(" \t\r")) for n, line in enumerate(text.split("\n"), 1))
        meant = [(n, line) for n, line in numbered if line and not line.startswith("#")]
        parsed = [(n, _attempt(_line, line)) for n, line in meant]
        wrong = [f"line {n}: {error}" for n, error in parsed if isinstance(error, str)]
        if wrong:
            raise _bad("; ".join(wrong))
        return cls(tuple(line for _, line in parsed if isinstance(line, Line)))

    def who(self, public_key: PublicKey, namespace: str, at: datetime) -> tuple[str, ...]:
        """The people who may sign with this key in this namespace at this time; nobody if it is unknown or expired.

        A principal that is a pattern names nobody: with one, a single key could speak for any number of people.

        Raises:
            BadInput: the time has no time zone.
        """
        if at.tzinfo is None:
            raise _no_zone(at)
        allowed = (line for line in self.lines if line.allows(public_key, namespace, at))
        return tuple(dict.fromkeys(name for line in allowed for name in line.names))

    def people(self, namespace: str, at: datetime) -> tuple[str, ...]:
        """Everybody who may sign in this namespace at this time, whatever their keys."""
        allowed = (line for line in self.lines if line.allows(line.key, namespace, at))
        return tuple(dict.fromkeys(name for line in allowed for name in line.names))

    def keys_of(self, principal: str) -> tuple[PublicKey, ...]:
        """All keys of a person, in any namespace and at any time, those of matching patterns included."""
        return tuple(dict.fromkeys(line.key for line in self.lines if _matches(principal, line.principals)))


def _attempt(parse: Callable[[str], T], text: str) -> T | str:
    try:
        return parse(text)
    except BadInput as error:
        return f"{error.subject}: {error.got}"
    except ValueError as error:
        return str(error)


def _line(text: str) -> Line:
    match = _LINE.fullmatch(text)
    if not match or not text.replace("\t", " ").isprintable():
        raise ValueError(f"{text[:80]!r} is no such line")
    options = _options(match["options"])
    after, before = _time(options.get("valid-after")), _time(options.get("valid-before"))
    if after and before and after >= before:
        raise ValueError("valid-before is not after valid-after")
    return Line(
        principals=_list("principals", match["principals"]),
        namespaces=_list("namespaces", options.get("namespaces", "")),
        key=PublicKey.parse(match["key"]),
        valid_after=after,
        valid_before=before,
    )


def _options(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        if not match or match["name"] not in _OPTIONS or match["value"] is None:
            raise ValueError(f"{text[at : at + 40]!r} is no option that is accepted")
        if match["name"] in found:
            raise ValueError(f"the option {match['name']} is repeated")
        found[match["name"]], at = match["value"], match.end()
    return found


def _list(what: str, text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if not all(part.strip("!") and " " not in part for part in parts):
        raise ValueError(f"{what} {text!r} has an empty part or a space in it, or is missing")
    return parts


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    if digits == text:
        raise ValueError(f"the time {text!r} is in the local zone of whoever reads it: add a Z for UTC")
    if len(digits) not in _TIMES or not re.fullmatch("[0-9]+", digits):
        raise ValueError(f"the time {text!r} is none of YYYYMMDDZ, YYYYMMDDHHMMZ, YYYYMMDDHHMMSSZ")
    return datetime.strptime(digits, _TIMES[len(digits)]).replace(tzinfo=UTC)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    # As ssh_config(5), PATTERNS: one negated match refuses, whatever else matches.
    if any(_glob(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_glob(name, pattern) for pattern in patterns if not pattern.startswith("!"))


def _glob(name: str, pattern: str) -> bool:
    signs = {"*": ".*", "?": "."}
    return re.fullmatch("".join(signs.get(sign, re.escape(sign)) for sign in pattern), name, re.DOTALL) is not None


def _bad(got: str) -> BadInput:
    return BadInput("allowed_signers", got=got, expected=_FORM, next_step="correct the lines named above")


def _no_zone(at: datetime) -> BadInput:
    return BadInput(
        "time of a signature", got=str(at), expected="a time with its time zone", next_step="pass a time in UTC"
    )
