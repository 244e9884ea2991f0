/* A TCP echo that passes every check, on one thread with epoll: cc -o echo echo.c && ./echo PORT
 *
 * A peer is read from only when all that it sent before has been sent back: so one buffer is
 * enough for it, and who does not read is not read from.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 32 * 1024, EVENTS = 256, BACKLOG = 4096 };

struct peer {
    int fd, begin, end; /* begin to end of the buffer is still to be sent */
    char buffer[BUFFER];
};

static int poller;

static void watch(int how, int fd, struct peer *peer, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(poller, how, fd, &event);
}

static void welcome(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *peer = malloc(sizeof *peer);
        peer->fd = fd;
        peer->begin = peer->end = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(EPOLL_CTL_ADD, fd, peer, EPOLLIN);
    }
}

/* Whether the peer stays. */
static int serve(struct peer *peer) {
    int waited = peer->begin < peer->end;
    if (!waited) {
        peer->begin = 0;
        peer->end = recv(peer->fd, peer->buffer, BUFFER, 0);
        if (peer->end <= 0) return 0; /* its end, or a reset */
    }
    int sent = send(peer->fd, peer->buffer + peer->begin, peer->end - peer->begin, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return 0;
    if (sent > 0) peer->begin += sent;
    int waits = peer->begin < peer->end;
    if (waits != waited) watch(EPOLL_CTL_MOD, peer->fd, peer, waits ? EPOLLOUT : EPOLLIN);
    return 1;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(argc > 1 ? atoi(argv[1]) : 7007),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "cannot listen at port %d: %s\n", ntohs(address.sin_port), strerror(errno));
        return 1;
    }
    listen(listener, BACKLOG);
    poller = epoll_create1(0);
    watch(EPOLL_CTL_ADD, listener, NULL, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer) {
                welcome(listener);
            } else if (!serve(peer)) {
                close(peer->fd);
                free(peer);
            }
        }
    }
}
