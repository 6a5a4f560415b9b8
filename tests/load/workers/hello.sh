#!/bin/bash
# The least that a CGI script can do: what is left is the price of starting it.
printf 'Content-Type: text/plain\r\n\r\n'
echo "Hello from ${GATEWAY_INTERFACE:-nowhere}."
