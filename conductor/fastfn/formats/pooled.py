"""Which channel the workers of a pool get, chosen once for a deployment."""

from __future__ import annotations

from collections.abc import Callable

from conductor.errors import ConductorError
from conductor.fastfn.formats.cgi import CgiChannel, CgiSettings
from conductor.fastfn.formats.channel import Channel, ChannelOwner
from conductor.fastfn.formats.http_stdio import HttpStdioChannel
from conductor.fastfn.spec import Format, FunctionSpec

ChannelMaker = Callable[[int, list[int]], Channel]


def channel_maker(spec: FunctionSpec, owner: ChannelOwner) -> ChannelMaker:
    """Return what makes a channel of a worker's number and its descriptors.

    Raises ConductorError for daemons, which nobody feeds.
    """
    if spec.format is Format.CGI:
        settings = CgiSettings(spec)
        return lambda worker, fds: CgiChannel(owner, worker, fds[0], fds[1], settings)
    if spec.format is Format.HTTP_STDIO:
        strip = spec.path_info_strip
        return lambda worker, fds: HttpStdioChannel(owner, worker, fds[0], strip)
    raise ConductorError(f"{spec.id}: {spec.format} workers are not fed by a pool")
