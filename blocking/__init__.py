"""The services on plain sockets: one client at a time, a thread each, and epoll.

Read `sequential`, then `threaded`, then `epoll`: each serves the same `Service` and differs
from the one before only in how it waits.
"""
