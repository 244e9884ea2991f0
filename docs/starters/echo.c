/* A TCP echo to begin from: cc -o echo echo.c && ./echo PORT
 * It works with telnet, and fails most checks.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(argc > 1 ? atoi(argv[1]) : 7007),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char buffer[1024];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 5);
    for (;;) {
        int conn = accept(listener, NULL, NULL);
        int size = recv(conn, buffer, sizeof buffer, 0);
        send(conn, buffer, size, 0);
        close(conn);
    }
}
