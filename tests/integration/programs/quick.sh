#!/bin/sh
# A CGI script that costs little to start.
echo "Content-Type: text/plain"
echo
echo "$$ 1 $1"
