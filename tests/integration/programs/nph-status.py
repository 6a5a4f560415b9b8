#!/usr/bin/env python3
"""A CGI script that prints its own status line (RFC 3875 §5)."""

print("HTTP/1.1 203 Said By The Script\r\nContent-Type: text/plain\r\nX-Own: 1\r\n\r\nmine", end="")
