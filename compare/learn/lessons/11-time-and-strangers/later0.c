/* Lines that are answered later: one thread, and epoll. */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE = 1007 }; /* bytes, with its end */
struct client { int fd, have; char unread[LINE]; };

/* Whether the client stays. */
static int receive(struct client *client) {
    char *line = client->unread, *end;
    int got = recv(client->fd, line + client->have, LINE - client->have, MSG_DONTWAIT);
    if (got <= 0) return 0;
    for (client->have += got; (end = memchr(line, '\n', client->have)); line = end + 1) {
        char *blank = line + strspn(line, "0123456789");
        if (blank == line || *blank != ' ') return 0;
        usleep(atol(line) * 1000);
        send(client->fd, blank + 1, end - blank, MSG_NOSIGNAL);
        client->have -= end + 1 - line;
    }
    memmove(client->unread, line, client->have);
    return client->have < LINE;
}

int main(int argc, char **argv) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1]))};
    struct epoll_event event = {.events = EPOLLIN};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) err(1, "port %s", argv[2]);
    listen(listener, 4096);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, &event, 1, -1);
        struct client *client = event.data.ptr;
        if (ready == 1 && !client) {
            event.data.ptr = client = calloc(1, sizeof *client);
            client->fd = accept(listener, NULL, NULL);
            epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event);
        } else if (ready == 1 && !receive(client)) {
            close(client->fd);
            free(client);
        }
    }
}
