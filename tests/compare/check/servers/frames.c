/* A server of frames that passes every check, a thread for each connection:
 * cc -pthread -o frames frames.c && ./frames PORT
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1024 * 1024, NUMBERS = 1024, BACKLOG = 4096 };

/* Whether so many bytes came before the end. */
static int receive(int fd, void *data, size_t size) {
    return size == 0 || recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static void *serve(void *argument) {
    int fd = (int)(intptr_t)argument, on = 1;
    uint32_t header, numbers[NUMBERS]; /* a piece at a time: nobody's word costs memory */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (receive(fd, &header, sizeof header)) {
        uint32_t left = ntohl(header);
        int64_t sum = 0;
        if (left > MOST || left % 4) break;
        while (left) {
            uint32_t size = left < sizeof numbers ? left : sizeof numbers;
            if (!receive(fd, numbers, size)) goto end;
            for (uint32_t i = 0; i < size / 4; i++) sum += (int32_t)ntohl(numbers[i]);
            left -= size;
        }
        struct { uint32_t length; uint64_t sum; } __attribute__((packed)) answer = {
            htonl(sizeof sum), htobe64((uint64_t)sum)};
        if (send(fd, &answer, sizeof answer, MSG_NOSIGNAL) < 0) break;
    }
end:
    close(fd);
    return NULL;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(argc > 1 ? atoi(argv[1]) : 7007),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "cannot listen at port %d: %s\n", ntohs(address.sin_port), strerror(errno));
        return 1;
    }
    listen(listener, BACKLOG);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &small, serve, (void *)(intptr_t)fd) != 0) close(fd);
    }
}
