"""The functions path: manager, gateway, pool, spawner and the harnesses.

It knows nothing of services or Caddy: it is told a FunctionSpec.
"""
