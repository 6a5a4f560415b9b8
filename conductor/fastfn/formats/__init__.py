"""How workers are spoken to: one file for each format.

A channel is the manager's end of one worker's descriptors. It writes the request,
reads the answer into the exchange and tells its owner how it went; whether the
worker is used again is for the owner and its pool.
"""
