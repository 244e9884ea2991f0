"""The lessons: each model of I/O in one short file that runs by itself, and nothing else.

In this order: echo_one_at_a_time, echo_threads, chat_threads, echo_select, echo_poll, echo_epoll,
echo_epoll_et, echo_pool, echo_fork, echo_prefork, echo_coroutines, echo_asyncio. Each shows how it
waits, says what it lacks, and names the module of `blocking` or `aionet` that has it all.
"""
