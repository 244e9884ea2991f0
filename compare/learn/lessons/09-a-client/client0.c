/* Sends what is typed and shows what comes: client HOST PORT */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    char line[1024];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    connect(server, (struct sockaddr *)&address, sizeof address);
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents) {
            if (!fgets(line, sizeof line, stdin)) return 0;
            send(server, line, strlen(line), 0);
        }
        if (fds[1].revents) {
            ssize_t size = recv(server, line, sizeof line, 0);
            if (size <= 0) return 0;
            printf("%.*s\n", (int)size, line);
        }
    }
}
