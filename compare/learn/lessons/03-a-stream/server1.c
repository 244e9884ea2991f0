/* An echo over TCP: server HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* send() may take only some of it: the rest is sent, too. 0, or -1 for an error. */
static int send_all(int conn, const char *data, ssize_t size) {
    while (size > 0) {
        ssize_t sent = send(conn, data, size, 0);
        if (sent < 0) return -1;
        data += sent;
        size -= sent;
    }
    return 0;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &here.sin_addr);

    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) {
        fprintf(stderr, "cannot listen at %s port %s: %s\n", words[1], words[2], strerror(errno));
        return 1;
    }
    for (;;) {
        char data[1024];
        ssize_t size;
        int conn = accept(listener, NULL, NULL);
        while ((size = recv(conn, data, sizeof data, 0)) > 0) { /* 0: the client sends no more */
            if (strncmp(data, "quit", 4) == 0) break;
            if (send_all(conn, data, size) < 0) break;
        }
        close(conn);
    }
}
