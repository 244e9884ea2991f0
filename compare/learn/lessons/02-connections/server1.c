/* An echo over TCP, one message for each client: server HOST PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &here.sin_addr);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0) return 1;
    listen(listener, 5);
    for (;;) {
        char data[1024];
        int conn = accept(listener, NULL, NULL);
        ssize_t size = recv(conn, data, sizeof data, 0);
        if (size > 0) send(conn, data, size, 0);
        close(conn);
    }
}
