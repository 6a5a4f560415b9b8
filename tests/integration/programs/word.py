#!/usr/bin/env python3
"""A CGI script that costs little; it says its process id and its argument."""

import os
import sys

print(f"Content-Type: text/plain\n\n{os.getpid()} 1 {sys.argv[1]}")
