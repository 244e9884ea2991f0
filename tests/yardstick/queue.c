/* An echo that is one queue: each message takes SERVICE_US, one after the other, whoever sent it.
 * With arrivals independent of each other it is the queue M/D/1, whose waiting times are known.
 *   cc -O2 -o queue queue.c && ./queue SERVICE_US
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv) {
    char buffer[65536];
    struct epoll_event event = {.events = EPOLLIN};
    if (argc != 2)
        return 2;
    long service_ns = 1000 * atol(argv[1]), on = 1;
    int epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1024) ||
        getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("queue");
        return 1;
    }
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    printf("READY tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        /* One at a time: who became ready first is first in the kernel's list (epoll(7)). */
        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == listener) {
            int fd = accept(listener, NULL, NULL);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));
            struct epoll_event theirs = {.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &theirs);
            continue;
        }
        long began = now_ns();
        ssize_t received = recv(event.data.fd, buffer, sizeof buffer, 0);
        if (received <= 0) {
            close(event.data.fd);
            continue;
        }
        while (now_ns() < began + service_ns)
            ;
        send(event.data.fd, buffer, received, MSG_NOSIGNAL);
    }
}
