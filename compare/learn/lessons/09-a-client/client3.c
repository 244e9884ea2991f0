/* Sends what is typed and shows what comes: client HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *host, *port;

static void fail(const char *why) {
    fprintf(stderr, "%s %s: %s\n", host, port, why);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    host = argv[1], port = argv[2];
    signal(SIGPIPE, SIG_IGN);
    char data[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int typing = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) fail(strerror(errno));
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents) {
            ssize_t size = read(STDIN_FILENO, data, sizeof data);
            if (size > 0 && send(server, data, size, 0) < 0) fail(strerror(errno));
            if (size <= 0) {
                typing = 0;
                fds[0].fd = -1; /* poll() passes it over */
                shutdown(server, SHUT_WR);
            }
        }
        if (fds[1].revents) {
            ssize_t size = recv(server, data, sizeof data, 0);
            if (size < 0) fail(strerror(errno));
            if (size == 0 && !typing) return 0;
            if (size == 0) fail("has closed the connection");
            if (write(STDOUT_FILENO, data, size) < 0) return 1;
        }
    }
}
