"""The services on plain sockets, in the ways there are to wait for many clients at once.

Read `sequential`, then `threaded`, then `readiness` with `on_epoll`, then `coroutines`: each serves
the same `Service` and differs from the one before only in how it waits. What becomes of a
connection is the same for all, and stands in `aionet.core`; what is done to its socket, in
`connection`.
"""
