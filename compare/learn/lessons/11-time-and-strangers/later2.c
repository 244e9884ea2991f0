/* Lines that are answered when they are due: one thread, and epoll. */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 1007 }; /* bytes, with its end */
struct client { int fd, have; char unread[LINE]; };
struct timer { long due; int fd, size; struct timer *next; char text[LINE]; };
static struct timer *first; /* that is due, and the others behind it in their order */

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add(long due, int fd, const char *text, int size) {
    struct timer *timer = malloc(sizeof *timer), **at = &first;
    while (*at && (*at)->due <= due) at = &(*at)->next;
    *timer = (struct timer){.due = due, .fd = fd, .size = size, .next = *at};
    memcpy(timer->text, text, size);
    *at = timer;
}

static void take_out(struct timer **at) {
    struct timer *timer = *at;
    *at = timer->next;
    free(timer);
}

/* Whether the client stays. */
static int receive(struct client *client) {
    char *line = client->unread, *end;
    int got = recv(client->fd, line + client->have, LINE - client->have, MSG_DONTWAIT);
    if (got <= 0) return 0;
    for (client->have += got; (end = memchr(line, '\n', client->have)); line = end + 1) {
        char *blank = line + strspn(line, "0123456789");
        if (blank == line || blank > line + 5 || atol(line) > 60000) return 0;
        if (*blank != ' ' || end - blank > 1001) return 0;
        add(now_ms() + 1 + atol(line), client->fd, blank + 1, end - blank); /* + 1: not early */
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
        long left = first ? first->due - now_ms() : -1;
        int ready = epoll_wait(poller, &event, 1, first && left < 0 ? 0 : left);
        struct client *client = event.data.ptr;
        if (ready == 1 && !client) {
            event.data.ptr = client = calloc(1, sizeof *client);
            client->fd = accept(listener, NULL, NULL);
            epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event);
        } else if (ready == 1 && !receive(client)) {
            for (struct timer **at = &first; *at;)
                if ((*at)->fd != client->fd) at = &(*at)->next;
                else take_out(at);
            close(client->fd);
            free(client);
        }
        for (; first && first->due <= now_ms(); take_out(&first))
            if (send(first->fd, first->text, first->size, MSG_DONTWAIT | MSG_NOSIGNAL) < first->size)
                shutdown(first->fd, SHUT_RDWR);
    }
}
