"""A mirror: shows a request as a program behind the proxy sees it. A WSGI application (PEP 3333).

/              the request as JSON: method, path, headers, and what the body was
/status/CODE   an answer with that status
/delay/S       an answer after S seconds (at most 30); others do not wait for it
/bytes/N       N bytes (at most 100 MiB), for measuring a download
"""

import hashlib
import json
import time
from http import HTTPStatus

PIECE = 64 * 1024


def application(environ, start_response):
    page, _, argument = environ["PATH_INFO"].strip("/").partition("/")
    try:
        code, kind, length, body = PAGES[page](environ, argument)
    except (KeyError, ValueError, OverflowError):
        code, kind, length, body = text(404, __doc__)
    has_body = code not in (204, 205, 304)
    headers = [("Content-Type", kind), ("Content-Length", str(length))] if has_body else []
    start_response(f"{code} {reason(code)}", headers)
    return body if has_body and environ["REQUEST_METHOD"] != "HEAD" else []


def text(code, words, kind="text/plain; charset=utf-8"):
    content = words.encode()
    return code, kind, len(content), [content]


def reason(code):
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"


def show(environ, argument):
    if argument:
        raise ValueError
    size, digest = read_body(environ["wsgi.input"])
    seen = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "protocol": environ["SERVER_PROTOCOL"],
        "headers": dict(sorted(headers_of(environ))),
        "body": {"bytes": size, "sha256": digest},
    }
    return text(200, json.dumps(seen, indent=2) + "\n", "application/json")


def headers_of(environ):
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").title(), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-").title(), value


def read_body(stream):
    size, digest = 0, hashlib.sha256()
    while piece := stream.read(PIECE):
        size += len(piece)
        digest.update(piece)
    return size, digest.hexdigest()


def status(environ, argument):
    code = int(argument)
    if not 200 <= code <= 599:
        raise ValueError
    return text(code, f"{code} {reason(code)}\n")


def delay(environ, argument):
    seconds = float(argument)
    if not 0 <= seconds <= 30:
        raise ValueError
    time.sleep(seconds)
    return text(200, f"That was {seconds:g} seconds.\n")


def many_bytes(environ, argument):
    count = int(argument)
    if not 0 <= count <= 100 * 1024 * 1024:
        raise ValueError
    return 200, "application/octet-stream", count, pieces(count)


def pieces(count):
    piece = bytes(range(256)) * (PIECE // 256)
    while count > 0:
        yield piece[:count]
        count -= PIECE


PAGES = {"": show, "status": status, "delay": delay, "bytes": many_bytes}
