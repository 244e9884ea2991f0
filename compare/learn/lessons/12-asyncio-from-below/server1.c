/* Echo on a loop of callbacks (a reactor): whoever is ready is called, and must not wait. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct handler {
    int fd;
    void (*ready)(struct handler *); /* what to do when what it waits for is there */
    char data[65536];
};
static int loop;

/* Have `ready` called when there is such an event. */
static void wait_for(struct handler *each, int events, void (*ready)(struct handler *)) {
    struct epoll_event event = {.events = events, .data.ptr = each};
    each->ready = ready;
    epoll_ctl(loop, EPOLL_CTL_ADD, each->fd, &event);
}

static void leave(struct handler *each) {
    close(each->fd); /* which epoll hears of, too */
    free(each);
}

static void on_readable(struct handler *each) {
    ssize_t have = recv(each->fd, each->data, sizeof each->data, 0);
    if (have < 0) err(1, "recv");
    if (have == 0) return leave(each);
    if (send(each->fd, each->data, have, MSG_NOSIGNAL) < 0) err(1, "send");
}

static void on_newcomer(struct handler *listener) {
    int fd = accept(listener->fd, NULL, NULL);
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
