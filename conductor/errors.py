"""The errors that people see, and whose fault each one is.

A module raises the class that says whose fault it is; only the command line
turns a class into an exit status. The message is one sentence that names the
thing, what is wrong with it and the cure. Anything else that escapes is a bug
in Conductor and keeps its traceback.
"""

from __future__ import annotations


class ConductorError(Exception):
    """Something went wrong that the user can be told in one sentence."""

    exit_status = 1


class UserError(ConductorError):
    """What was asked for cannot be done as asked: exit status 2."""

    exit_status = 2


class DeclarationError(UserError):
    """A declaration is wrong: names the file, the key and what is allowed.

    >>> print(DeclarationError("a/conductor-service.json", "functions[0].format", "must be cgi"))
    a/conductor-service.json: functions[0].format: must be cgi
    """

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        self.problem = problem
        super().__init__(": ".join(part for part in (file, key, problem) if part))


class ManagerUnreachableError(ConductorError):
    """No manager answers on the control socket."""
