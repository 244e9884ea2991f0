/* A TCP client that waits by poll() for the keyboard and the server: client HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 2000, SIZE = 65536 };

static char unsent[SIZE], heard[SIZE];
static const char *host, *port;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fail(const char *why) {
    fprintf(stderr, "%s %s: %s\n", host, port, why);
    exit(1);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    host = words[1], port = words[2];
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, host, &server.sin_addr) != 1) fail("no address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int connected = connect(fd, (struct sockaddr *)&server, sizeof server) == 0;
    if (!connected && errno != EINPROGRESS) fail(strerror(errno));
    long until = now_ms() + CONNECT_MS;
    size_t from = 0, to = 0;
    int typing = 1, finished = 0;
    for (;;) {
        struct pollfd fds[2] = {
            {.fd = fd, .events = (connected ? POLLIN : POLLOUT) | (from < to ? POLLOUT : 0)},
            {.fd = typing && from == to ? 0 : -1, .events = POLLIN},
        };
        long left = until - now_ms();
        poll(fds, 2, connected ? -1 : left > 0 ? left : 0);
        if (!connected && now_ms() >= until && !fds[0].revents) fail("no answer");
        if (!connected && fds[0].revents) {
            int why;
            socklen_t size = sizeof why;
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size);
            if (why) fail(strerror(why));
            connected = 1;
            fds[0].revents &= ~(POLLIN | POLLHUP);
        }
        if (fds[1].revents) {
            ssize_t size = read(0, unsent, SIZE);
            typing = size > 0;
            from = 0, to = typing ? size : 0;
        }
        if (connected && from < to) {
            ssize_t size = send(fd, unsent + from, to - from, 0);
            if (size < 0 && errno != EAGAIN) fail(strerror(errno));
            if (size > 0) from += size;
        }
        if (connected && !typing && from == to && !finished) {
            shutdown(fd, SHUT_WR);
            finished = 1;
        }
        if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t size = recv(fd, heard, SIZE, 0);
            if (size < 0 && errno != EAGAIN) fail(strerror(errno));
            if (size == 0 && typing) fail("the server has closed");
            if (size == 0) return 0;
            if (size > 0 && write(1, heard, size) < 0) return 1;
        }
    }
}
