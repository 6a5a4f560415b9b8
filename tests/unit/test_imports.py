"""Imports go one way, and what must start quickly or stay small loads little."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import conductor

PACKAGE = Path(conductor.__file__).parent
# A module imports from its own package and from those of a lower rank, never back or across.
RANKS = {
    "errors": 0,
    "dirs": 0,
    "durations": 0,
    "http1": 1,
    "cgi_adapter": 2,
    "caddy": 3,
    "podman": 3,
    "systemd": 3,
    "fastfn": 4,
    "service": 5,
    "deployment": 6,
    "policy": 7,
    "peers": 7,
    "fleet": 7,
    "cli": 8,
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """Return what of ``RANKS`` a module belongs to; "" for conductor/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = (name.split(".") for name in names if name.startswith("conductor."))
    return {parts[1] for parts in ours if parts[1] in RANKS}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    here = room(path)
    if not here:
        assert imported_rooms(path) == set()
        return
    for there in imported_rooms(path) - {here}:
        assert RANKS[there] < RANKS[here], f"{here} must not import {there}"


@pytest.mark.parametrize("package", ["http1", "cgi_adapter"])
def test_codecs_know_no_event_loop(package: str) -> None:
    codecs = [path for path in MODULES if room(path) == package]
    if package == "cgi_adapter":  # the adapter program is in here too; the codecs are these
        codecs = [path for path in codecs if path.stem in ("environment", "response", "target")]
    assert codecs
    for path in codecs:
        tree = ast.parse(path.read_text())
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not names & {"asyncio", "select", "selectors", "subprocess"}, path


def loaded_by(code: str) -> set[str]:
    """Return the modules that are loaded after ``code`` ran, and that the interpreter had not."""
    program = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "import json; print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    # -S -P: neither site's .pth files nor the directory we stand in have a say.
    result = subprocess.run(
        [sys.executable, "-S", "-P", "-c", program],
        env={"PYTHONPATH": f"{PACKAGE.parent}:{_site_packages()}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(result.stderr.splitlines()[-1]))


def _site_packages() -> str:
    return str(Path(pytest.__file__).parent.parent)


HEAVY = {"asyncio", "pydantic", "httpx", "rich", "click", "uvloop", "ssl", "ctypes"}


def test_caddy_config_loads_neither_click_nor_anything_like_it() -> None:
    loaded = loaded_by(
        "sys.argv = ['conductor', 'function', 'caddy-config', '--function', 'a.b',"
        " '--socket', '/s', '--policies', 'p/a']\n"
        "from conductor.cli import main; assert main() == 0"
    )
    assert "conductor.caddy.routes" in loaded
    assert not loaded & (HEAVY | {"typing", "dataclasses", "inspect", "socket", "subprocess"})


def test_the_spawner_loads_no_event_loop() -> None:
    loaded = loaded_by("import conductor.fastfn.spawner.__main__")
    assert not loaded & HEAVY


def test_the_manager_that_serves_loads_nothing_that_reads_declarations() -> None:
    loaded = loaded_by("import conductor.cli.serving")
    assert not loaded & {"pydantic", "click", "rich", "httpx", "conductor.service", "rfc8785"}
