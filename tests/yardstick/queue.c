/* An echo that is one queue: each message takes SERVICE_US, one after the other, whoever sent it.
 *
 * When it goes back is reckoned, not waited for: SERVICE_US after it came, or after the one before
 * it went, whichever is later. So the calls of the kernel are no part of the service, and with
 * arrivals independent of each other it is the queue M/D/1, whose waiting times are known.
 *   cc -O2 -o queue queue.c && ./queue SERVICE_US
 */
#include "ready.h"
#include <sys/epoll.h>

enum { MOST = 1 << 12, SIZE = 1000 }; /* messages that wait at most, bytes of each */

static struct {
    int fd;
    long due_ns;
    char message[SIZE];
} waiting[MOST];

static long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv) {
    struct epoll_event event = {.events = EPOLLIN};
    if (argc != 2)
        return 2;
    long service_ns = 1000 * atol(argv[1]), last = 0;
    unsigned first = 0, end = 0;
    int epoll = epoll_create1(0), listener = ready();
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        /* It never sleeps: waking up would take part in the times. */
        int some = epoll_wait(epoll, &event, 1, 0);
        long now = now_ns();
        if (some == 1 && event.data.fd == listener) {
            int fd = accept(listener, NULL, NULL);
            event.data.fd = fd;
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        } else if (some == 1) {
            /* One message at a time: who became ready first is first in epoll's list. */
            int fd = event.data.fd, next = end % MOST;
            if (end - first == MOST)
                return 1; /* rather than answer later than it says */
            if (recv(fd, waiting[next].message, SIZE, MSG_WAITALL) != SIZE) {
                close(fd);
            } else {
                last = (last > now ? last : now) + service_ns;
                waiting[next].fd = fd;
                waiting[next].due_ns = last;
                end++;
            }
        }
        for (; first != end && waiting[first % MOST].due_ns <= now; first++)
            send(waiting[first % MOST].fd, waiting[first % MOST].message, SIZE, MSG_NOSIGNAL);
    }
}
