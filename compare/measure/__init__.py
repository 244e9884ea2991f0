"""From a cell to its samples: start a server, drive it, once or many times.

Imports `results`, `check`, `driver`, `host` and `models`.
"""
