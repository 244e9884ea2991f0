/* Echo, with a thread for each connection, which says for how long it waits. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const struct timeval IDLE = {.tv_sec = 2};  /* in which nothing comes; short, for the lesson */
static const struct timeval WRITE = {.tv_sec = 2}; /* in which nothing is read */
static const struct linger RESET = {.l_onoff = 1}; /* for 0 s: what is not sent is dropped */

static void echo(int fd) {
    char data[65536];
    ssize_t got;
    while ((got = recv(fd, data, sizeof data, 0)) > 0) {
        if (send(fd, data, got, MSG_NOSIGNAL) != got) { /* the time is over, or it has left */
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &RESET, sizeof RESET);
            return;
        }
    }
}

static void *serve(void *argument) {
    int fd = (long)argument;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &IDLE, sizeof IDLE);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &WRITE, sizeof WRITE);
    echo(fd);
    close(fd);
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
        if (fd < 0) continue;
        if (pthread_create(&thread, NULL, serve, (void *)fd)) close(fd);
        else pthread_detach(thread);
    }
}
