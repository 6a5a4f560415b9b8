"""Where Conductor keeps things: for the system as root, else for the user's session.

Only paths are decided here; nothing is created.
"""

from __future__ import annotations

import os


def run_dir() -> str:
    """Return the run directory: ``/run/conductor``, or the session's own.

    A user's is ``$XDG_RUNTIME_DIR/conductor``; without a session it stands in
    the temporary directory under a name that only this user's id makes.
    """
    if os.geteuid() == 0:
        return "/run/conductor"
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session:
        return os.path.join(session, "conductor")
    import tempfile  # noqa: PLC0415  # half of a quick command's start, and seldom needed

    return os.path.join(tempfile.gettempdir(), f"conductor-{os.geteuid()}")


def control_socket(directory: str) -> str:
    """Return the manager's control socket in the run directory ``directory``."""
    return os.path.join(directory, "manager.sock")


def function_socket(directory: str, function_id: str) -> str:
    """Return the listening socket of the function ``function_id``."""
    return os.path.join(directory, "functions", f"{function_id}.sock")
