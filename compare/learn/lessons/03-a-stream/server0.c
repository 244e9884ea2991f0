/* An echo over TCP: server HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
        char message[1024];
        int conn = accept(listener, NULL, NULL);
        ssize_t size = recv(conn, message, sizeof message, 0);
        if (size > 0 && strncmp(message, "quit", 4) != 0) send(conn, message, size, 0);
        close(conn);
    }
}
