"""How a CGI program is kept warm: one file for each runtime.

The interface sets a program's environment before it starts (RFC 3875 §4.1), so
a program cannot simply be started early. A runtime finds the place just before:
it has something wait, with its pipes and limits in place, for the meta-variables
on standard input, and only then runs the program. What a runtime's waiting
process reads there is ``pack_variables``; the request's body follows.

The spawner imports the one that its function needs; this module only names them.
"""

from __future__ import annotations

RUNTIMES = ("exec", "python")


def pack_variables(variables: dict[bytes, bytes]) -> bytes:
    """Return what a waiting worker reads before the body: a length, then NAME=VALUE and NUL each.

    The length is four bytes, the most significant first, and does not count itself.
    """
    block = b"".join([b"%s=%s\0" % item for item in variables.items()])
    return len(block).to_bytes(4, "big") + block
