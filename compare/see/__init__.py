"""`compare see`: both ends of TCP connections and the server's threads, while a client talks.

Imports `check` and `host`.
"""
