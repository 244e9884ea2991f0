/* A chat room: a thread for each member, and one lock. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST = 2000, NAME = 32 };
static struct member {
    int fd;
    char name[NAME + 1];
    struct member *next;
} *members;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void put(struct member *to, const char *text) {
    send(to->fd, text, strlen(text), MSG_NOSIGNAL);
}

/* All the others hear it. */
static void tell(struct member *me, const char *format, const char *text) {
    char line[LONGEST + NAME + 20];
    sprintf(line, format, me->name, text);
    pthread_mutex_lock(&lock);
    for (struct member *each = members; each; each = each->next)
        if (each != me) put(each, line);
    pthread_mutex_unlock(&lock);
}

static int read_line(int fd, char *line) {
    int got = recv(fd, line, LONGEST - 1, 0);
    line[got > 0 ? got : 0] = 0;
    line[strcspn(line, "\r\n")] = 0;
    return got > 0;
}

static void *serve(void *fd) {
    struct member me = {.fd = (long)fd, .next = members}, **at;
    char line[LONGEST];
    put(&me, "Welcome! What is your name?\n");
    members = &me;
    if (read_line(me.fd, line)) {
        memcpy(me.name, line, NAME);
        tell(&me, "* %s has come\n", "");
        put(&me, "* Here are:");
        for (at = &me.next; *at; at = &(*at)->next) put(&me, " "), put(&me, (*at)->name);
        put(&me, "\n");
        while (read_line(me.fd, line)) tell(&me, "[%s] %s\n", line);
    }
    for (at = &members; *at != &me;) at = &(*at)->next;
    *at = me.next;
    if (me.name[0]) tell(&me, "* %s has left\n", "");
    close(me.fd);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) errx(2, "which HOST and PORT?");
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) err(1, "port %s", argv[2]);
    listen(listener, 4096);
    for (;;) {
        pthread_t thread;
        long fd = accept(listener, NULL, NULL);
        if (fd >= 0 && !pthread_create(&thread, NULL, serve, (void *)fd)) pthread_detach(thread);
    }
}
