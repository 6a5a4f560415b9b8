#!/usr/bin/python3
"""The pulse of this machine: processor, load and memory once a second, as server-sent events.

GET /                  a page that draws it
GET /events            the stream; with ?count=N it ends after N events

The id of an event is the reading that it was made from. A client that comes
back sends the last id that it saw (Last-Event-ID), so its next event covers
the time that it missed.
"""

import itertools
import json
import os
import re
import sys
import time
import urllib.parse

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Pulse</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 45em; margin: 2em auto; padding: 0 1em }
canvas { width: 100%; height: 12em; border: 1px solid #ccc }</style>
<h1>Pulse</h1>
<canvas id="graph" width="600" height="150"></canvas>
<p id="text">Waiting for the first event.</p>
<script>
const values = [], canvas = document.getElementById("graph"), pen = canvas.getContext("2d");
new EventSource("SCRIPT/events").onmessage = (event) => {
  const now = JSON.parse(event.data);
  document.getElementById("text").textContent =
    `processor ${now.cpu} %, load ${now.load.join(" ")}, ` +
    `${now.memory.available} of ${now.memory.total} MiB available`;
  values.push(now.cpu);
  if (values.length > 120) values.shift();
  pen.clearRect(0, 0, 600, 150);
  pen.beginPath();
  values.forEach((value, i) => pen.lineTo(i * 5, 149 - value * 1.48));
  pen.stroke();
};
</script>
</html>
"""


def main():
    method = os.environ.get("REQUEST_METHOD", "GET")
    path = os.environ.get("PATH_INFO", "")
    if method not in ("GET", "HEAD"):
        head("405 Method Not Allowed", "text/plain", "Allow: GET, HEAD")
        write(f"{method} is not allowed here\n")
    elif path == "/events":
        head("200 OK", "text/event-stream", "Cache-Control: no-store")
        if method == "GET":
            stream(event_count())
    elif path in ("", "/"):
        head("200 OK", "text/html; charset=utf-8")
        if method == "GET":
            write(PAGE.replace("SCRIPT", os.environ.get("SCRIPT_NAME", "")))
    else:
        head("404 Not Found", "text/plain")
        write("There is / and /events\n")


def event_count():
    """Return how many events were asked for, or None for a stream without end."""
    query = urllib.parse.parse_qs(os.environ.get("QUERY_STRING", ""))
    count = query.get("count", [""])[-1]
    return int(count) if re.fullmatch("[0-9]{1,6}", count) else None


def stream(count):
    write("retry: 2000\n\n")
    before = last_reading()
    start = time.monotonic()
    for second in itertools.islice(itertools.count(1), count):
        now = processor_times()
        if before is None:
            before = (0, 0)  # since the machine was started
        event = {"time": round(time.time()), "cpu": use(before, now)}
        event |= {"load": list(os.getloadavg()), "memory": memory()}
        write(f"id: {now[0]}-{now[1]}\ndata: {json.dumps(event)}\n\n")
        before = now
        if second != count:
            time.sleep(max(0, start + second - time.monotonic()))


# The readings.


def processor_times():
    """Return the ticks in which all processors worked, and all ticks (proc(5), /proc/stat)."""
    with open("/proc/stat") as file:
        user, nice, system, idle, iowait, *rest = map(int, file.readline().split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + iowait


def last_reading():
    """Return the reading that the client saw last, unless it is from before a restart."""
    match = re.fullmatch("([0-9]{1,18})-([0-9]{1,18})", os.environ.get("HTTP_LAST_EVENT_ID", ""))
    if match is None:
        return None
    busy, total = int(match[1]), int(match[2])
    now = processor_times()
    return (busy, total) if busy <= now[0] and total <= now[1] else None


def use(before, now):
    """Return the percentage of the time between two readings that was work."""
    total = now[1] - before[1]
    return round(100 * (now[0] - before[0]) / total, 1) if total > 0 else 0.0


def memory():
    """Return all and available memory in MiB."""
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    return {
        "total": int(lines["MemTotal"].split()[0]) // 1024,
        "available": int(lines["MemAvailable"].split()[0]) // 1024,
    }


# The answer.


def head(status, kind, *headers):
    write("\r\n".join([f"Status: {status}", f"Content-Type: {kind}", *headers, "", ""]))


def write(text):
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # the client is gone, and the rest of the buffer has nowhere to go
