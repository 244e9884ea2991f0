"""The load from many hosts, and the server on one of its own: on Dask (distributed.dask.org).

Who starts the workers, and where, is Dask's business. A worker started with `--resources driver=1`
takes a shard of the load, one with `--resources server=1` the server.

    hosts   the workers, what they are, and what time it is there
    clock   what time it is elsewhere, from answers that took their time
    tasks   what runs on them
    cell    one cell: start the server, start the shards, begin at one instant, gather
    shards  how a load is shared out, and what the shards saw put together: `merge`, `room`
    testbed the whole as what `compare run` measures on; `stage` for `compare scale`
    local   a cluster on this machine, for as long as a run takes

Only `compare.cluster.needs` may be imported without Dask.
"""
