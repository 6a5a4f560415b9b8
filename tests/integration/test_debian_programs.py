"""Programs from Debian's archive run unmodified: git-http-backend, and busybox's inetd server."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.support.command import Serving, serving
from tests.integration.support.http import Client, request

CONTENT = random.Random(2).randbytes(3_000_000)  # noqa: S311  # nothing secret about it
FILES = "/cgi/files.test"  # the server is told no prefix, so its tree has one
SMALL_BUFFER = ("-c", "http.postBuffer=65536")  # git sends what is more in chunks


def git(*arguments: str, cwd: Path) -> str:
    """Run git without anybody's configuration; return what it traced of its HTTP."""
    person = {
        f"GIT_{who}_{what}": "a@example.test"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    tracing = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"} | person | alone | tracing,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def commit(work: Path, name: str, content: bytes) -> None:
    (work / name).write_bytes(content)
    git("add", name, cwd=work)
    git("commit", "--quiet", "--message", name, cwd=work)


def declare(directory: Path, name: str, function: dict[str, object], **config: str) -> str:
    directory.mkdir()
    service = {
        "app_name": name,
        "instance_name": "test",
        "config": config,
        "functions": [function],
    }
    (directory / "conductor-service.json").write_text(json.dumps(service))
    return str(directory)


def declare_git(root: Path) -> str:
    """Declare git-http-backend, with one repository that takes pushes."""
    git("init", "--quiet", "--initial-branch=main", "work", cwd=root)
    commit(root / "work", "first", CONTENT)
    git("clone", "--quiet", "--bare", "work", "repositories/project.git", cwd=root)
    git("config", "http.receivepack", "true", cwd=root / "repositories" / "project.git")
    function: dict[str, object] = {
        "format": "cgi",
        "exec": ["git", "http-backend"],
        "path_info_strip": 2,
    }
    return declare(
        root / "git",
        "git",
        function,
        GIT_PROJECT_ROOT=str(root / "repositories"),
        GIT_HTTP_EXPORT_ALL="1",
    )


def declare_files(root: Path) -> str:
    """Declare busybox's httpd as inetd runs it, with a small tree."""
    tree = root / "tree" / FILES.lstrip("/")
    (tree / "below").mkdir(parents=True)
    (tree / "big.bin").write_bytes(CONTENT)
    (tree / "below" / "index.html").write_text("<p>Here.\n")
    function: dict[str, object] = {
        "format": "http-stdio",
        "exec": ["busybox", "httpd", "-i", "-h", str(root / "tree")],
    }
    return declare(root / "files", "files", function)


@pytest.fixture(scope="module", params=[(), ("--caddy",)], ids=["own listener", "caddy"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    root = tmp_path_factory.mktemp("debian")
    with serving(root / "run", declare_git(root), declare_files(root), *request.param) as process:
        yield process


@pytest.fixture
def repository(served: Serving) -> str:
    return f"{served.url}/cgi/git.test/project.git"


@pytest.fixture
def client(served: Serving) -> Iterator[Client]:
    with Client.tcp(served.port) as client:
        yield client


# git-http-backend, a CGI program in C: requests in chunks and packed, answers in streams.


def test_a_repository_is_cloned(repository: str, tmp_path: Path) -> None:
    git("clone", "--quiet", repository, "copy", cwd=tmp_path)
    assert (tmp_path / "copy" / "first").read_bytes() == CONTENT


@pytest.mark.parametrize("buffer", [SMALL_BUFFER, ()], ids=["in chunks", "with a length"])
def test_a_push_arrives_whole(repository: str, tmp_path: Path, buffer: tuple[str, ...]) -> None:
    content = os.urandom(500_000)
    git("clone", "--quiet", repository, "copy", cwd=tmp_path)
    commit(tmp_path / "copy", "second", content)
    traced = git(*buffer, "push", repository, "HEAD:refs/heads/new", cwd=tmp_path / "copy")
    assert ("=> Send header: Transfer-Encoding: chunked" in traced) == bool(buffer)
    git("clone", "--quiet", "--branch", "new", repository, "again", cwd=tmp_path)
    assert (tmp_path / "again" / "second").read_bytes() == content
    git("push", repository, ":refs/heads/new", cwd=tmp_path / "copy")


def test_a_request_that_git_packs_is_understood(repository: str, tmp_path: Path) -> None:
    git("clone", "--quiet", repository, "ahead", cwd=tmp_path)
    git("clone", "--quiet", repository, "behind", cwd=tmp_path)
    for number in range(64):  # so many commits to tell of that git packs its request
        git("commit", "--quiet", "--allow-empty", "-m", str(number), cwd=tmp_path / "behind")
    commit(tmp_path / "ahead", "second", b"news")
    git("push", "--quiet", repository, "HEAD:refs/heads/ahead", cwd=tmp_path / "ahead")
    traced = git("fetch", repository, "ahead", cwd=tmp_path / "behind")
    assert "=> Send header: Content-Encoding: gzip" in traced
    git("push", "--quiet", repository, ":refs/heads/ahead", cwd=tmp_path / "ahead")


@pytest.mark.parametrize(
    ("path", "status"),
    [("HEAD", 200), ("nothing", 404), ("info/refs?service=git-nothing", 403)],
)
def test_git_answers_with_a_status_of_its_own(client: Client, path: str, status: int) -> None:
    assert client.get(f"/cgi/git.test/project.git/{path}").status == status


def test_git_says_what_it_takes(client: Client) -> None:
    answer = client.post("/cgi/git.test/project.git/HEAD", b"anything")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


# busybox httpd -i, an HTTP server in C that expects to be inetd's child: one request a process.


def test_a_download_arrives_whole(client: Client) -> None:
    answer = client.get(f"{FILES}/big.bin")
    assert (answer.status, answer.body == CONTENT) == (200, True)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("1000000-1000099", 1_000_000, 1_000_099), ("2999990-", 2_999_990, 2_999_999)],
)
def test_a_part_of_a_file_can_be_asked_for(
    client: Client, asked: str, first: int, last: int
) -> None:
    answer = client.get(f"{FILES}/big.bin", f"Range: bytes={asked}")
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_head_has_the_length_and_no_body(client: Client) -> None:
    answer = client.send(request("HEAD", f"{FILES}/big.bin")).read("HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(CONTENT)))
    assert client.get(f"{FILES}/below/").text == "<p>Here.\n"  # on the same connection


def test_a_redirect_leads_to_the_page(client: Client) -> None:
    answer = client.get(f"{FILES}/below")
    assert answer.status == 302
    assert answer.headers["location"] == f"{FILES}/below/"
    assert client.get(answer.headers["location"]).text == "<p>Here.\n"


def test_a_page_that_did_not_change_is_not_sent_again(client: Client) -> None:
    tag = client.get(f"{FILES}/below/").headers["etag"]
    answer = client.get(f"{FILES}/below/", f"If-None-Match: {tag}")
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("DELETE", 501)])
def test_a_refusal_comes_from_the_program(client: Client, method: str, status: int) -> None:
    assert client.send(request(method, f"{FILES}/nothing")).read().status == status
