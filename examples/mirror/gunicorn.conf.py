"""gunicorn reads this file by itself. The address comes with the socket that it is given."""

backlog = 4096  # gunicorn calls listen() again; keep what the socket has
workers = 1
threads = 16  # requests at the same time
timeout = 120  # seconds without a sign of life until the worker is replaced
keepalive = 150  # seconds: longer than a proxy keeps an idle connection, so that it never meets a closed one
graceful_timeout = 20
