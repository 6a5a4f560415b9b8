#!/usr/bin/python3
"""A link shortener with a visit counter, as one CGI script and one sqlite file.

GET /          the list, as a page or (Accept: application/json) as JSON
POST /         add a link: fields url and, if it shall have a certain name, name;
               as a form or as JSON
GET /NAME      go there, and count the visit
"""

import html
import json
import os
import re
import secrets
import sqlite3
import sys
import urllib.parse

STATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "state")
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that people mix up
MAX_BODY = 16 * 1024
REASONS = {
    200: "OK",
    201: "Created",
    302: "Found",
    303: "See Other",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Links</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 45em; margin: 2em auto; padding: 0 1em }}
td {{ padding-right: 1.5em }}</style>
<h1>Links</h1>
<form method="post" action="{script}/">
<input name="url" type="url" size="40" required placeholder="https://example.org/a/long/address">
<input name="name" size="12" pattern="[A-Za-z0-9_\\-]{{1,40}}" placeholder="name (optional)">
<button>Shorten</button>
</form>
<table>{rows}</table>
</html>
"""


class Refused(Exception):
    """The request cannot be served: a status and a sentence."""

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status = status
        self.headers = headers


def main():
    wants_json = "application/json" in os.environ.get("HTTP_ACCEPT", "")
    try:
        answer(wants_json)
    except Refused as refused:
        message = str(refused)
        if wants_json:
            body, kind = to_json({"error": message}), "application/json"
        else:
            body, kind = message + "\n", "text/plain; charset=utf-8"
        respond(refused.status, body, kind, **refused.headers)


def answer(wants_json):
    method = os.environ.get("REQUEST_METHOD", "GET")
    name = os.environ.get("PATH_INFO", "").lstrip("/")
    if name:
        allow(method, "GET", "HEAD")
        visit(name, count=method == "GET")
    elif method == "POST":
        add(wants_json)
    else:
        allow(method, "GET", "HEAD", "POST")
        show_list(wants_json)


def allow(method, *methods):
    if method not in methods:
        raise Refused(405, f"{method} is not allowed here", Allow=", ".join(methods))


# What the requests do.


def show_list(wants_json):
    links = open_database().execute(
        "SELECT name, url, visits, created FROM links ORDER BY created DESC, rowid DESC LIMIT 100"
    )
    keys = ("name", "url", "visits", "created")
    entries = [dict(zip(keys, link)) | {"short": short(link[0])} for link in links]
    if wants_json:
        respond(200, to_json(entries), "application/json", Vary="Accept")
        return
    rows = "".join(
        f'<tr><td><a href="{html.escape(e["short"])}">{html.escape(e["name"])}</a>'
        f"<td>{html.escape(e['url'])}<td>{e['visits']} visits\n"
        for e in entries
    )
    script = html.escape(os.environ.get("SCRIPT_NAME", ""))
    page = PAGE.format(script=script, rows=rows)
    respond(200, page, "text/html; charset=utf-8", Vary="Accept")


def add(wants_json):
    fields, is_form = read_fields()
    url = check_url(fields.get("url", ""))
    wanted = fields.get("name", "")
    if wanted and not NAME.fullmatch(wanted):
        raise Refused(400, "name: only letters, digits, - and _, at most 40")
    name = insert(url, wanted)
    if is_form and not wants_json:
        respond(303, "", None, Location=base() + "/")
        return
    entry = {"name": name, "url": url, "short": short(name)}
    respond(201, to_json(entry), "application/json", Location=short(name))


def insert(url, wanted):
    """Store the address under the wanted name or a new random one, and return the name."""
    database = open_database()
    while True:
        name = wanted or "".join(secrets.choice(ALPHABET) for _ in range(5))
        try:
            database.execute("INSERT INTO links (name, url) VALUES (?, ?)", (name, url))
        except sqlite3.IntegrityError:  # the name is the primary key
            if wanted:
                raise Refused(409, f"the name {wanted} is taken") from None
        else:
            return name


def visit(name, count):
    statement = (
        "UPDATE links SET visits = visits + 1 WHERE name = ? RETURNING url"
        if count
        else "SELECT url FROM links WHERE name = ?"
    )
    row = open_database().execute(statement, (name,)).fetchone()
    if row is None:
        raise Refused(404, f"there is no link named {name[:60]}")
    respond(302, f"{row[0]}\n", "text/plain; charset=utf-8", Location=row[0])


# The database: one statement is one transaction, so concurrent requests only
# ever wait for each other, at most ten seconds.


def open_database():
    os.makedirs(STATE, exist_ok=True)
    database = sqlite3.connect(
        os.path.join(STATE, "links.sqlite3"), timeout=10, isolation_level=None
    )
    database.execute(
        "CREATE TABLE IF NOT EXISTS links ("
        " name TEXT PRIMARY KEY, url TEXT NOT NULL, visits INTEGER NOT NULL DEFAULT 0,"
        " created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')))"
    )
    return database


# What comes in.


def read_fields():
    """Return the posted fields, and whether they came from a form."""
    kind = os.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    length = int(os.environ.get("CONTENT_LENGTH") or 0)
    if length > MAX_BODY:
        raise Refused(413, f"at most {MAX_BODY} bytes, please")
    try:
        text = sys.stdin.buffer.read(length).decode()
        if kind == "application/json":
            fields = json.loads(text)
            if isinstance(fields, dict) and all(isinstance(v, str) for v in fields.values()):
                return fields, False
            raise Refused(400, "expected a JSON object of strings")
        if kind == "application/x-www-form-urlencoded":
            return dict(urllib.parse.parse_qsl(text, errors="strict", max_num_fields=10)), True
    except ValueError as error:
        raise Refused(400, f"the body cannot be read: {error}") from None
    raise Refused(415, "send a form (application/x-www-form-urlencoded) or application/json")


def check_url(text):
    """Return the address, safe to stand in a header, or refuse it."""
    if len(text) > 2000 or re.search(r"[\x00-\x20\x7f]", text):
        raise Refused(400, "url: at most 2000 characters, and no spaces")
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(400, "url: must start with http:// or https:// and a host")
    return urllib.parse.quote(text, safe="%/:?#[]@!$&'()*+,;=")


# What goes out.


def base():
    scheme = os.environ.get("HTTP_X_FORWARDED_PROTO", "http")
    host = os.environ.get("HTTP_HOST") or os.environ.get("SERVER_NAME", "localhost")
    return f"{scheme}://{host}{os.environ.get('SCRIPT_NAME', '')}"


def short(name):
    return f"{base()}/{name}"


def to_json(value):
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def respond(status, body, kind, **headers):
    content = body.encode()
    lines = [f"Status: {status} {REASONS[status]}"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    lines.append(f"Content-Length: {len(content)}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if os.environ.get("REQUEST_METHOD") == "HEAD":
        content = b""
    sys.stdout.buffer.write("\r\n".join([*lines, "", ""]).encode() + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
