/* Sends back what comes, to one client at a time: server HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t running = 1;
static volatile int listener, conn = -1;

static void stop(int number) {
    (void)number;
    running = 0;
    alarm(2); /* by then it is over, whoever does not read */
    shutdown(listener, SHUT_RD);
    if (conn >= 0) shutdown(conn, SHUT_RD);
}

static int send_all(int conn, const char *data, ssize_t size) {
    ssize_t sent;
    while (size > 0 && (sent = send(conn, data, size, 0)) >= 0) {
        data += sent;
        size -= sent;
    }
    return size == 0;
}

static void serve(void) {
    char data[16384];
    ssize_t size;
    while ((size = recv(conn, data, sizeof data, 0)) > 0)
        if (!send_all(conn, data, size)) break;
    close(conn);
    conn = -1;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "cannot listen at port %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    listen(listener, 4096);
    signal(SIGPIPE, SIG_IGN); /* send() says EPIPE, and that is one client's end */
    signal(SIGTERM, stop);
    while (running) {
        conn = accept(listener, NULL, NULL);
        if (running && conn >= 0) serve();
    }
}
