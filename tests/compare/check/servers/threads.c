/* TCP echo with a thread for each client, and one mistake: `threads MISTAKE PORT`. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int handed_over;

static void *serve(void *argument)
{
    int conn = handed_over ? *(int *)argument : (int)(intptr_t)argument;
    char data[16384];
    ssize_t length;
    while ((length = recv(conn, data, sizeof data, 0)) > 0)
        for (ssize_t sent = 0; sent < length;) {
            ssize_t more = send(conn, data + sent, (size_t)(length - sent), 0);
            if (more < 0) {
                close(conn);
                return NULL;
            }
            sent += more;
        }
    close(conn);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    handed_over = strcmp(argv[1], "handed-over") == 0;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), conn;
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
        return 1;
    listen(listener, 4096);
    for (;;) {
        conn = accept(listener, NULL, NULL);
        if (conn < 0)
            continue;
        setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_t thread;
        void *argument = handed_over ? (void *)&conn : (void *)(intptr_t)conn;
        if (pthread_create(&thread, NULL, serve, argument) == 0 && handed_over)
            pthread_detach(thread);
    }
}
