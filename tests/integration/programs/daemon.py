#!/usr/bin/env python3
"""A threaded HTTP server that takes its listening socket from its parent: sd_listen_fds(3).

At SIGTERM it accepts nothing more, finishes what it has accepted and ends.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        page = getattr(self, "page_" + (url.path.rpartition("/")[2] or "hello"), self.page_hello)
        body = page(query).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page_hello(self, query):
        return "hello\n"

    def page_pid(self, query):
        return f"{os.getpid()} 1 {sys.argv[1] if sys.argv[1:] else ''}"

    def page_head(self, query):
        return f"{self.requestline}\n{self.headers}"

    def page_start(self, query):
        fds = [
            int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
        ]
        return json.dumps({"environment": dict(os.environ), "pid": os.getpid(), "fds": fds})

    def page_wait(self, query):
        open(query["file"] + ".seen", "w").close()
        while os.path.exists(query["file"]):
            time.sleep(0.01)
        return "waited\n"

    def page_die(self, query):
        print("out of ideas", file=sys.stderr, flush=True)
        os._exit(3)

    def address_string(self):
        return "-"

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=3)

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("", 0)


assert os.environ["LISTEN_PID"] == str(os.getpid())
server = Server()


def end(*_):
    print("asked to end", file=sys.stderr, flush=True)
    threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, end)
server.serve_forever(poll_interval=0.02)
server.server_close()
