"""What this machine says, and what it starts: processes, sockets, limits.

Imports `models` only.
"""
