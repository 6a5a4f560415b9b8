"""A module beside the battery: it looks at the request when it is imported, and keeps a file."""

import os

QUERY_AT_IMPORT = os.environ["QUERY_STRING"]
LOGS = []


def open_log(path):
    log = open(path, "w")
    log.write("written by the neighbour\n")
    LOGS.append(log)
