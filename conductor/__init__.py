"""Conductor: serve small programs behind Caddy with no cold start.

This module holds the version and nothing else: the spawner and the quick
commands import it on their way up, and each import is paid for by every start.
"""

__version__ = "0.1.0"
