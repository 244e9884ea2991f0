/* Echo, one client after the other: ./server HOST PORT */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536]; /* one for all: it is there once and filled again and again */

static int send_all(int conn, const char *data, ssize_t size) {
    while (size > 0) {
        ssize_t sent = send(conn, data, size, MSG_NOSIGNAL);
        if (sent < 0) return -1;
        data += sent;
        size -= sent;
    }
    return 0;
}

static void serve(int conn) {
    ssize_t size;
    while ((size = recv(conn, buffer, sizeof buffer, 0)) > 0) {
        if (send_all(conn, buffer, size) < 0) break;
    }
    close(conn); /* its end, or a reset: nobody else's */
}

static int listen_at(const char *host, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, host, &address.sin_addr);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
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
        int conn = accept(listener, NULL, NULL);
        if (conn >= 0) serve(conn);
    }
}
