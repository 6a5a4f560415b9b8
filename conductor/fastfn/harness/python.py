"""The Python harness: a zygote, and the workers that it forks.

This file is run by the script's own interpreter (Python 3.8 or newer), not by
Conductor's, and imports nothing of Conductor:

    INTERPRETER harness/python.py CHANNEL FAREWELL COUNT MODULE... SCRIPT ARG...

The zygote imports the modules named, then forks a worker for each ``fork ID`` on the
channel. A worker imports what the script will import first, waits for the
meta-variables on its standard input, and runs the script as ``__main__``. What
the script sees is what a plain start would show it; where that needs care, the
comment says so. When the script has ended, the worker says farewell (its number
and exit status, on a pipe that all share) and closes its standard output: that
completes the answer. Only then it takes down what the script left.

A worker's cost is the pages that it writes to, for each is copied first; and in
Python a look at an object is a write. So what can be done before the fork is done
there, and what a worker does on its way to the script goes past the conveniences
of the standard library where it can.

No thread may run in the zygote: a fork copies only the thread that forks. Where it
can, the zygote therefore forks past the interpreter's own work after a fork,
which makes locks anew that no other thread can hold: it writes to a hundred and
more pages, and copying them is a quarter of what a request costs. What modules
have asked to be called after a fork (os.register_at_fork) is called all the same.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what signal wraps in enumerations
import ast
import atexit
import gc
import itertools
import os
import select
import socket
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

# Of the standard library and installed packages only what the script imports at its
# top may be imported early; a module beside the script might look for
# meta-variables when it is imported, and they are not there yet.


# Types that have no destructors to run, and those that may hold something that has.
LASTING = (str, bytes, int, float, bool, type(None), type, types.ModuleType, types.FunctionType)
COLLECTING = (list, dict, set, tuple)


class Script:
    """The script's code, compiled before it is needed and again after it was changed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.version: tuple[int, int, int] | None = None
        self.code: types.CodeType | None = None
        self.imports: list[str] = []  # what a worker can import before its request

    def refresh(self) -> None:
        """Read the script if it was changed; what is wrong with it, its worker will show."""
        try:
            status = os.stat(self.path)
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
            if version == self.version and self.code is not None:
                return
            with open(self.path, "rb") as file:
                source = file.read()
            self.code = None
            names = top_level_imports(ast.parse(source, self.path))
            self.imports = list(importable_early(names, self.path))
            self.code = compile(source, self.path, "exec", dont_inherit=True)
            self.version = version
        except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
            self.code, self.version, self.imports = None, None, []

    def load(self) -> types.CodeType:
        """Return the code, or raise what a plain start would show."""
        self.refresh()
        if self.code is None:
            with open(self.path, "rb") as file:
                self.code = compile(file.read(), self.path, "exec", dont_inherit=True)
        return self.code


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a script imports whatever happens, until it does something else."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module and node.module != "__future__":
                yield node.module
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return


def importable_early(names: Iterable[str], path: str) -> Iterator[str]:
    """Yield those of ``names`` that are not here yet, nor provided by a file beside the script."""
    directory = os.path.dirname(os.path.realpath(path))
    for name in names:
        beside = os.path.join(directory, name.partition(".")[0])
        if name not in sys.modules and not (
            os.path.exists(beside + ".py") or os.path.exists(beside)
        ):
            yield name


def import_early(names: Iterable[str]) -> None:
    """Import ``names``."""
    for name in names:
        try:
            __import__(name)
        except BaseException:  # noqa: BLE001  # the script will meet it again, and may handle it
            return


class Forks:
    """How workers are forked, and what is done in them first.

    Made before any module is preloaded, so that it sees what they register.
    """

    # Whose calls after a fork only renew locks and the list of threads.
    NEEDLESS = ("threading", "logging", "concurrent.futures.thread")

    def __init__(self) -> None:
        self.hooks: list[Callable[[], object]] = []
        self.hook_of_random = "random" in sys.modules
        self.fork: Callable[[], int] = os.fork
        self.register = os.register_at_fork
        os.register_at_fork = self.note  # type: ignore[assignment]

    def note(self, **when: Callable[[], object]) -> None:
        """Take the place of os.register_at_fork."""
        self.register(**when)
        hook = when.get("after_in_child")
        if hook is not None and getattr(hook, "__module__", None) not in self.NEEDLESS:
            self.hooks.append(hook)

    def choose(self) -> None:
        """Fork through the C library if this is the only thread and there is a way to it."""
        os.register_at_fork = self.register
        try:
            import ctypes  # noqa: PLC0415  # not every interpreter has it

            if len(os.listdir("/proc/self/task")) == 1:
                self.fork = ctypes.PyDLL(None).fork
        except (ImportError, OSError, AttributeError):
            return

    def renew(self) -> None:
        """In a worker: renew what must not be shared with other workers."""
        if self.fork is os.fork:
            return
        if self.hook_of_random:
            sys.modules["random"].seed()
        for hook in self.hooks:
            hook()
        threading = sys.modules.get("threading")
        if threading is not None:
            threading.main_thread()._set_native_id()  # noqa: SLF001  # the one thing that differs


class Zygote:
    """Waits for orders, forks, and reports the exits of what it forked."""

    def __init__(self, channel: socket.socket, script: Script, forks: Forks) -> None:
        self.channel = channel
        self.script = script
        self.forks = forks
        self.wakeup, wakeup = os.pipe()
        for fd in (self.wakeup, wakeup):
            os.set_blocking(fd, False)
        _signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)

    def serve(self) -> int:
        """Return in the zygote never, in a forked worker its number."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        # What stands now is not looked at by the collector again: its pages stay shared.
        gc.collect()
        gc.freeze()
        self.report("ready")
        while True:
            for fd, _ in poll.poll():
                if fd == self.wakeup:
                    self.reap()
                    continue
                worker = self.order()
                if worker is not None:
                    return worker

    def order(self) -> int | None:
        """Carry out one order; return the worker's number in the worker, else None."""
        data, ancillary, _, _ = self.channel.recvmsg(256, socket.CMSG_SPACE(16))
        if not data:
            os._exit(0)
        number = int(data.split()[1])
        fds = [int.from_bytes(ancillary[0][2][i : i + 4], sys.byteorder) for i in (0, 4, 8)]
        self.script.refresh()
        pid = self.forks.fork()
        if pid == 0:
            self.become_worker(fds)
            self.forks.renew()
            return number
        if pid < 0:  # only the C library's: os.fork raises
            os._exit(1)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        for fd in fds:
            os.close(fd)
        self.report(f"pid {number} {pid}")
        return None

    def become_worker(self, fds: list[int]) -> None:
        """Take the worker's place: its descriptors, its group, the usual signals."""
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        os.setpgid(0, 0)
        stdin, stdout, stderr = fds
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdin)
        os.close(stdout)
        os.close(stderr)
        os.close(self.channel.fileno())

    def reap(self) -> None:
        """Report the workers that have ended."""
        try:
            os.read(self.wakeup, 4096)
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.report(f"exit {pid} {status}")
        except (BlockingIOError, ChildProcessError):
            pass

    def report(self, text: str) -> None:
        """Tell the spawner; without one there is nothing to live for."""
        try:
            self.channel.send(text.encode())
        except OSError:
            os._exit(0)


def read_exactly(size: int) -> bytes:
    """Read ``size`` bytes of standard input and not one more: the body follows."""
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)  # no request will come
        data += part
    return data


def receive_variables() -> None:
    """Wait for the request and put its meta-variables into the environment."""
    block = read_exactly(int.from_bytes(read_exactly(4), "big"))
    variables = dict([item.split(b"=", 1) for item in block.split(b"\0") if item])
    for name, value in variables.items():
        os.putenv(name, value)
    os.environ._data.update(variables)  # type: ignore[attr-defined]  # noqa: SLF001  # as __setitem__ does


def run(script: Script, arguments: list[str]) -> int:
    """Run the script as ``__main__`` and return its exit status."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=script.path, __cached__=None, __builtins__=__builtins__)
    del main.__dict__["__doc__"]
    sys.modules["__main__"] = main
    sys.argv = [script.path, *arguments]
    try:
        exec(script.load(), main.__dict__)  # noqa: S102  # running scripts is what this is for
    except SystemExit as ending:
        return exit_status(ending.code)
    except BaseException as error:  # noqa: BLE001  # as the interpreter does
        # The frames of this harness are not the script's business; a SyntaxError has no others.
        while error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename == __file__:
            error.__traceback__ = error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def exit_status(code: object) -> int:
    """Return the status of SystemExit's ``code`` as the interpreter would."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def finish(status: int) -> int:
    """Do what the interpreter does after the script and before it is taken down."""
    threading = sys.modules.get("threading")
    if threading is not None and len(threading._active) > 1:  # noqa: SLF001  # the main thread
        threading._shutdown()  # noqa: SLF001  # what the interpreter itself calls
    atexit._run_exitfuncs()  # noqa: SLF001  # likewise
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BrokenPipeError:
            pass
        except Exception as error:  # noqa: BLE001  # as the interpreter does
            sys.excepthook(type(error), error, error.__traceback__)
            status = 120  # as Python's own exit does when a flush fails
    return status


def say_farewell(farewell: int, number: int, status: int) -> None:
    """Complete the answer: the farewell first, so that it is there when the output ends."""
    try:
        os.write(farewell, number.to_bytes(4, "big") + status.to_bytes(4, "big"))
    except OSError:
        pass  # nobody reads; the exit tells the same, later
    os.dup2(2, 1)  # closed for whoever reads; what destructors still print goes to stderr


def take_down(known: int) -> None:
    """Drop what the script left, so that its files are written and its destructors run.

    What it imported beyond the first ``known`` modules is emptied too. Objects go first,
    and then what collects objects, so that destructors still find the rest.
    """
    modules = list(
        itertools.islice(reversed(sys.modules.values()), max(0, len(sys.modules) - known))
    )
    namespaces = [module.__dict__ for module in (sys.modules["__main__"], *modules)]
    for collecting in (False, True):
        for namespace in namespaces:
            for name in list(namespace):
                kind = type(namespace[name])
                if name[:2] != "__" and kind not in LASTING and (kind in COLLECTING) == collecting:
                    namespace[name] = None
    # What stood before the fork is frozen and not looked at. What the script made is in
    # the two youngest generations unless it made very much; a collection of the oldest
    # also empties all free lists, page by page.
    gc.collect(2 if gc.get_count()[2] else 1)


def preload_modules(names: list[str]) -> None:
    """Import what the declaration's ``preload`` names; what cannot be imported ends the zygote."""
    for name in names:
        try:
            __import__(name)
        except Exception as error:  # noqa: BLE001  # a module may raise anything
            if not isinstance(error, ImportError):
                sys.excepthook(type(error), error, error.__traceback__)
            sys.exit(f"preload: {name} cannot be imported: {error}")


def main() -> NoReturn:
    """Be the zygote; come out of it as a worker, and serve one request."""
    channel_fd, farewell, count = (int(argument) for argument in sys.argv[1:4])
    preload = sys.argv[4 : 4 + count]
    path = sys.argv[4 + count]
    arguments = sys.argv[5 + count :]
    channel = socket.socket(fileno=channel_fd)
    for fd in (channel_fd, farewell):
        os.set_inheritable(fd, False)
    directory = os.path.dirname(os.path.realpath(path))
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        sys.path[0] = directory  # not there with -I or -P, and then not for the script either
    forks = Forks()
    preload_modules(preload)
    forks.choose()
    script = Script(path)
    script.refresh()
    number = Zygote(channel, script, forks).serve()
    # From here on this is a worker.
    for name in preload:
        renew = getattr(sys.modules[name], "conductor_after_fork", None)
        if renew is not None:
            renew()
    if script.imports:
        import_early(script.imports)
    receive_variables()
    known = len(sys.modules)
    status = finish(run(script, arguments))
    say_farewell(farewell, number, status)
    take_down(known)
    os._exit(status)


main()
