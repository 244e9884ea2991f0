"""The load: one program for every model, in a process of its own.

`load` holds the loop and what is counted, `connect` opens connections, and each workload is
a file: `tcp_long`, `tcp_short`, `udp_echo`, `chat`. A workload gives every connection an
object whose method is called when its descriptor is ready; everything that happens per
operation is in that one method.
"""
