"""Servers that are only there to be compared with.

`bare_epoll` and `bare_protocol` are the least that echoes. The frameworks serve the same services
as our own models, each as its documentation would have it written, by

    python -m compare.contenders serve {echo|udp-echo|chat} --framework {gevent|tornado|...}
"""
