/* Sends what is typed and shows what comes: client HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 3000 };

static const char *host, *port;

static void fail(const char *why) {
    fprintf(stderr, "%s %s: %s\n", host, port, why);
    exit(1);
}

static int milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    host = argv[1], port = argv[2];
    signal(SIGPIPE, SIG_IGN);
    static char heard[65536], unsent[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (connect(server, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail(strerror(errno));
    int connected = 0, typing = 1, deadline = milliseconds() + CONNECT_MS;
    ssize_t begin = 0, end = 0; /* of what is unsent */
    for (;;) {
        struct pollfd fds[] = {
            {.fd = typing && begin == end ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = server, .events = connected ? POLLIN : POLLOUT},
        };
        if (begin < end) fds[1].events |= POLLOUT;
        int left = deadline - milliseconds();
        if (poll(fds, 2, connected ? -1 : left > 0 ? left : 0) == 0) fail(strerror(ETIMEDOUT));
        if (fds[0].revents) {
            begin = 0, end = read(STDIN_FILENO, unsent, sizeof unsent);
            if (end <= 0) typing = end = 0;
        }
        if (fds[1].revents && !connected) {
            int error;
            socklen_t size = sizeof error;
            getsockopt(server, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) fail(strerror(error));
            connected = 1;
        } else if (fds[1].revents & ~POLLOUT) {
            ssize_t size = recv(server, heard, sizeof heard, 0);
            if (size < 0) fail(strerror(errno));
            if (size == 0 && !typing) return 0;
            if (size == 0) fail("has closed the connection");
            if (write(STDOUT_FILENO, heard, size) < 0) return 1;
        }
        if (connected && begin < end) {
            ssize_t size = send(server, unsent + begin, end - begin, 0);
            if (size < 0 && errno != EAGAIN) fail(strerror(errno));
            if (size > 0) begin += size;
        }
        if (connected && !typing && begin == end) shutdown(server, SHUT_WR);
    }
}
