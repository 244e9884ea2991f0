/* A server that answers later and passes every check, on one thread: cc -o later later.c
 *
 * It waits by epoll until something comes or the first of all timers is due. These are a list in
 * the order of their due times: of a million a heap would take less.
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
#include <time.h>
#include <unistd.h>

enum { LONGEST_MS = 60000, LONGEST = 1000, LINE = LONGEST + 6, BACKLOG = 4096 };

struct client {
    int fd, size;
    char line[LINE + 1];
};
struct timer {
    long long due_us;
    struct client *client;
    struct timer *next;
    int size;
    char text[];
};
static struct timer *first;
static int poller;

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void leave(struct client *client) {
    for (struct timer **at = &first, *each; (each = *at);) {
        if (each->client == client) {
            *at = each->next;
            free(each);
        } else {
            at = &each->next;
        }
    }
    close(client->fd);
    free(client);
}

static void add(struct client *client, long ms, const char *text, int size) {
    struct timer *timer = malloc(sizeof *timer + size + 1), **at = &first;
    timer->due_us = now_us() + ms * 1000LL;
    timer->client = client;
    timer->size = size + 1;
    memcpy(timer->text, text, size);
    timer->text[size] = '\n';
    while (*at && (*at)->due_us <= timer->due_us) at = &(*at)->next;
    timer->next = *at;
    *at = timer;
}

/* Whether it is a line of this protocol. */
static int take(struct client *client) {
    char *blank = memchr(client->line, ' ', client->size);
    long ms = 0;
    if (!blank || blank == client->line || blank > client->line + 5) return 0;
    for (char *digit = client->line; digit < blank; digit++) {
        if (*digit < '0' || *digit > '9') return 0;
        ms = ms * 10 + *digit - '0';
    }
    int size = client->line + client->size - blank - 1;
    if (ms > LONGEST_MS || size > LONGEST) return 0;
    add(client, ms, blank + 1, size);
    return 1;
}

/* Whether the client stays. */
static int serve(struct client *client) {
    char data[65536];
    int got = recv(client->fd, data, sizeof data, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    for (int i = 0; i < got; i++) {
        if (data[i] == '\n') {
            if (!take(client)) return 0;
            client->size = 0;
        } else if (client->size == LINE) {
            return 0;
        } else {
            client->line[client->size++] = data[i];
        }
    }
    return 1;
}

static void welcome(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
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
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        long long left = first ? first->due_us - now_us() : 0;
        /* Rounded up: with the rest of a millisecond left, 0 would be asked again and again. */
        int timeout = !first ? -1 : left > 0 ? (int)((left + 999) / 1000) : 0;
        if (epoll_wait(poller, &event, 1, timeout) > 0) {
            struct client *client = event.data.ptr;
            if (!client) welcome(listener);
            else if (!serve(client)) leave(client);
        }
        while (first && first->due_us <= now_us()) {
            struct timer *timer = first;
            first = timer->next;
            /* Who has not read 100 KiB of answers does not get the next one whole: it leaves. */
            if (send(timer->client->fd, timer->text, timer->size, MSG_NOSIGNAL) != timer->size)
                shutdown(timer->client->fd, SHUT_RDWR);
            free(timer);
        }
    }
}
