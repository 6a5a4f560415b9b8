"""Tests of Conductor. A package, so that ``python -m tests.load`` has one name everywhere."""
