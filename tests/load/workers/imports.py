#!/usr/bin/python3
"""A CGI script whose price is its imports, as it is for most real ones.

Started cold these take about 100 ms on a small server; what it answers is the
same each time, so that the load tests can tell a right answer from a wrong one.
"""

import asyncio
import datetime  # noqa: ICN001 - the script prints the names of what it imports
import email
import json
import sqlite3
import urllib.request

MODULES = (asyncio, datetime, email, json, sqlite3, urllib.request)

print("Content-Type: application/json\r\n\r\n", end="")
print(json.dumps({"imported": [module.__name__ for module in MODULES]}))
