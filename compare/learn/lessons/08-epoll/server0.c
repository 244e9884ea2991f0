/* Echo, one thread and select(): ./server HOST PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int fd;
    ssize_t begin, end; /* of data: what has come and is not sent back yet */
    char data[65536];
};

static struct client *clients[FD_SETSIZE]; /* by descriptor */

static void add(int fd) {
    clients[fd] = calloc(1, sizeof(struct client));
    clients[fd]->fd = fd;
}

static void drop(int fd) {
    close(fd);
    free(clients[fd]);
    clients[fd] = NULL;
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
    for (;;) {
        fd_set readers, writers;
        FD_ZERO(&readers);
        FD_ZERO(&writers);
        FD_SET(listener, &readers);
        for (int fd = 0; fd < FD_SETSIZE; fd++) {
            if (clients[fd])
                FD_SET(fd, clients[fd]->begin < clients[fd]->end ? &writers : &readers);
        }
        select(FD_SETSIZE, &readers, &writers, NULL, NULL);
        for (int fd = 0; fd < FD_SETSIZE; fd++) {
            if (clients[fd] && (FD_ISSET(fd, &readers) || FD_ISSET(fd, &writers))) {
                if (!serve(clients[fd])) drop(fd);
            }
        }
        if (FD_ISSET(listener, &readers)) {
            int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (conn >= FD_SETSIZE) close(conn); /* there is no bit for it */
            else if (conn >= 0) add(conn);
        }
    }
}
