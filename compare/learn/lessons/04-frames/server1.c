/* Answers each frame of numbers with a frame of their sum: server HOST PORT */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *argument) {
    int conn = (intptr_t)argument;
    uint32_t length, eight = htonl(8);
    while (recv(conn, &length, 4, 0) > 0) {
        length = ntohl(length);
        uint32_t *numbers = malloc(length);
        int64_t sum = 0;
        if (recv(conn, numbers, length, 0) <= 0) {
            free(numbers);
            break;
        }
        for (uint32_t i = 0; i < length / 4; i++) sum += (int32_t)ntohl(numbers[i]);
        free(numbers);
        sum = htobe64(sum);
        send(conn, &eight, 4, 0);
        send(conn, &sum, 8, 0);
    }
    close(conn);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN); /* lesson 5 says why */
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "cannot listen at port %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    listen(listener, 4096);
    for (;;) {
        pthread_t thread; /* one for each client: lesson 6 has more of them */
        int conn = accept(listener, NULL, NULL);
        if (conn < 0) continue;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)conn) == 0)
            pthread_detach(thread);
        else
            close(conn);
    }
}
