#!/bin/sh
# A filter that knows nothing of CGI: all it prints is the body.
case "$PATH_INFO" in
/nothing) ;;
/killed) kill -KILL $$ ;;
/*) echo "bare $# $*" ; cat ;;
esac
