/* Echo, one thread and epoll: ./server HOST PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int fd;
    ssize_t begin, end; /* of data: what has come and is not sent back yet */
    char data[65536];
};

static int epoll;

static void add(int fd, unsigned events) {
    struct client *client = calloc(1, sizeof *client);
    client->fd = fd;
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Send what is unsent, or read and send. Whether the client stays. */
static int serve(struct client *client) {
    if (client->begin == client->end) {
        ssize_t size = recv(client->fd, client->data, sizeof client->data, 0);
        if (size <= 0) return size < 0 && errno == EAGAIN;
        client->begin = 0;
        client->end = size;
    }
    ssize_t unsent = client->end - client->begin;
    ssize_t sent = send(client->fd, client->data + client->begin, unsent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN; /* there is no room */
    client->begin += sent; /* maybe a part of it */
    return 1;
}

static int listen_at(const char *host, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, host, &address.sin_addr);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4096) < 0)
        err(1, "cannot listen at %s port %s", host, port);
    return listener;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int listener = listen_at(argv[1], argv[2]);
    epoll = epoll_create1(0);
    add(listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (client->fd == listener) {
                int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (conn >= 0) add(conn, EPOLLIN | EPOLLOUT | EPOLLET);
                continue;
            }
            if (!serve(client)) {
                close(client->fd); /* which takes it from the list */
                free(client);
            }
        }
    }
}
