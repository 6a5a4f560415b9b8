"""Declarations: from ``conductor-service.json`` to what the manager is told.

``functions.load_functions`` is the door. The rest is one room a file: what keys
there are (``model``), reading them (``loading``), programs, variables, ids.
"""
