"""Messages between the manager and a spawner: JSON objects, with descriptors beside them.

The channel is a SOCK_SEQPACKET pair, so a message is a packet: there is no
framing to get wrong, and descriptors (SCM_RIGHTS, unix(7)) cannot drift away from
the message that they belong to. The spawner imports this module; it stays small.

Manager to spawner:  configure, spawn {workers}, kill {worker, signal}; its end: stop.
Spawner to manager:  hello (+ the farewell pipe), ready, spawned {worker, pid} (+ the
manager's ends), exited {worker, status}, stderr {worker, lines}, failed {error}.
"""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any

MAX_PACKET = 192 * 1024  # bytes; below the kernel's default limit for one packet
MAX_FDS = 16
_FD_SIZE = array.array("i").itemsize

Message = dict[str, Any]


def send(channel: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Send ``message`` and copies of ``fds``; raises OSError, BlockingIOError among them."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_PACKET:
        raise OSError(f"the message {message.get('op')!r} is over {MAX_PACKET} bytes")
    if fds:
        socket.send_fds(channel, [data], list(fds))
    else:
        channel.send(data)


def receive(channel: socket.socket) -> tuple[Message, list[int]]:
    """Return the next message and its descriptors; raises EOFError when the other side is gone.

    Raises BlockingIOError when the channel is non-blocking and nothing is there,
    OSError for what is no message; its descriptors are closed.
    """
    # Not socket.recv_fds: it drops the flags, and the descriptors would be inherited.
    room = socket.CMSG_SPACE(MAX_FDS * _FD_SIZE)
    data, rights, flags, _ = channel.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for _level, _type, numbers in rights:
        fds.frombytes(numbers[: len(numbers) - len(numbers) % _FD_SIZE])
    try:
        return _parse(data, flags), fds.tolist()
    except (EOFError, OSError):
        for fd in fds:
            os.close(fd)
        raise


def _parse(data: bytes, flags: int) -> Message:
    if not data:
        raise EOFError
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise OSError("a message on the spawner's channel was cut off")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise OSError("a message on the spawner's channel is no JSON") from None
    if not isinstance(message, dict):
        raise OSError("a message on the spawner's channel is no object")
    return message
