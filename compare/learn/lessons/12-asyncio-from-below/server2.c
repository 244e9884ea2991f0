/* Echo on a loop of callbacks (a reactor): whoever is ready is called, and must not wait. */
#define _GNU_SOURCE /* accept4() */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct handler {
    int fd;
    void (*ready)(struct handler *); /* what to do when what it waits for is there */
    ssize_t have, sent;              /* of data: an echo on its way */
    char data[65536];
};
static int loop;

/* Have `ready` called when there is such an event. */
static void wait_for(struct handler *each, int events, void (*ready)(struct handler *)) {
    struct epoll_event event = {.events = events, .data.ptr = each};
    each->ready = ready;
    if (epoll_ctl(loop, EPOLL_CTL_MOD, each->fd, &event) && errno == ENOENT)
        epoll_ctl(loop, EPOLL_CTL_ADD, each->fd, &event);
}

static void leave(struct handler *each) {
    close(each->fd); /* which epoll hears of, too */
    free(each);
}

static void on_readable(struct handler *each);

static void on_writable(struct handler *each) {
    ssize_t sent = send(each->fd, each->data + each->sent, each->have - each->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) err(1, "send");
    if (sent > 0) each->sent += sent;
    if (each->sent < each->have) wait_for(each, EPOLLOUT, on_writable);
    else wait_for(each, EPOLLIN, on_readable);
}

static void on_readable(struct handler *each) {
    each->have = recv(each->fd, each->data, sizeof each->data, 0);
    each->sent = 0;
    if (each->have < 0) err(1, "recv");
    if (each->have > 0) on_writable(each);
    else leave(each);
}

static void on_newcomer(struct handler *listener) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    struct handler *newcomer = malloc(sizeof *newcomer);
    newcomer->fd = fd;
    wait_for(newcomer, EPOLLIN, on_readable);
}

int main(int argc, char **argv) {
    if (argc != 3) errx(2, "which HOST and PORT?");
    int on = 1;
    struct handler listener = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener.fd, (struct sockaddr *)&address, sizeof address)) err(1, "port %s", argv[2]);
    listen(listener.fd, 4096);
    loop = epoll_create1(0);
    wait_for(&listener, EPOLLIN, on_newcomer);
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) != 1) continue;
        struct handler *each = event.data.ptr;
        each->ready(each);
    }
}
