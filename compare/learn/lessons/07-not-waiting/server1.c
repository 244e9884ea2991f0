/* Echo, one thread that asks everybody in turn: ./server HOST PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, PIECE = 65536 };

struct client {
    int fd;
    int ended; /* it will say no more */
    ssize_t begin, end, room; /* begin to end of data: what has come and is not sent back yet */
    char *data;
};

static struct client *clients[MOST];
static int count;

static void add(int fd) {
    clients[count] = calloc(1, sizeof(struct client));
    clients[count++]->fd = fd;
}

static void drop(int at) {
    close(clients[at]->fd);
    free(clients[at]->data);
    free(clients[at]);
    clients[at] = clients[--count]; /* the last one fills the gap */
}

static void *make_room(struct client *client) {
    if (client->room - client->end < PIECE) {
        client->room = 2 * client->room + PIECE;
        client->data = realloc(client->data, client->room);
    }
    return client->data + client->end;
}

/* Read and send as much as can be now. Whether the client stays. */
static int serve(struct client *client) {
    if (!client->ended) {
        ssize_t size = recv(client->fd, make_room(client), PIECE, 0);
        if (size < 0 && errno != EAGAIN) return 0;
        if (size > 0) client->end += size;
        client->ended = size == 0;
    }
    if (client->begin < client->end) {
        ssize_t unsent = client->end - client->begin;
        ssize_t sent = send(client->fd, client->data + client->begin, unsent, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return 0;
        if (sent > 0) client->begin += sent; /* maybe a part of it */
        if (client->begin == client->end) client->begin = client->end = 0;
    }
    return !client->ended || client->begin < client->end;
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
    for (;;) {
        int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (conn >= 0 && count == MOST) close(conn);
        else if (conn >= 0) add(conn);
        for (int i = count - 1; i >= 0; i--) {
            if (!serve(clients[i])) drop(i);
        }
    }
}
