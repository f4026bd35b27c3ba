"""The few errors of Headgate. A failed gate is not among them: a negative result is a value.

Every message names the subject, what was got, what was expected and what to do next, so that whoever reads it
in a log at night need not open the code. The exit codes are those of the command line.
"""

from __future__ import annotations


class HeadgateError(Exception):
    """Base of all errors that Headgate raises on purpose.

    Args:
        subject: what the error is about, e.g. ``policy expectations/x/policy.toml``.
        got: what was found.
        expected: what was expected instead.
        next_step: what the reader can do now.
    """

    exit_code = 3

    def __init__(self, subject: str, *, got: str, expected: str, next_step: str) -> None:
        self.subject, self.got, self.expected, self.next_step = subject, got, expected, next_step
        super().__init__(subject, got, expected, next_step)

    def __str__(self) -> str:
        return f"{self.subject}: got {self.got}; expected {self.expected}. Next: {self.next_step}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickling by default, and Prefect pickles what a task raises.
        return (_rebuild, (type(self), self.subject, self.got, self.expected, self.next_step))


class BadInput(HeadgateError):
    """The caller's mistake: a bad policy, an unknown model, an unreadable file."""

    exit_code = 2


class Tampered(HeadgateError):
    """Bytes are not what their digest, hash chain or signature says."""

    exit_code = 1


class SlotTaken(HeadgateError):
    """Another writer took the ledger slot first: fold again and decide again."""


class Unavailable(HeadgateError):
    """The surroundings failed: a server, the store, a file system."""


def _rebuild(kind: type[HeadgateError], subject: str, got: str, expected: str, next_step: str) -> HeadgateError:
    return kind(subject, got=got, expected=expected, next_step=next_step)
