/* Closed-loop echo load over epoll, in C: what a driver could do at best.
 * Compares every reply and prints operations per second.
 *   cc -O2 -o echo_client echo_client.c && ./echo_client PORT CONNECTIONS BYTES SECONDS
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { EVENTS = 128, LARGEST = 65536 };

static char message[LARGEST], reply[LARGEST];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5 || atoi(argv[3]) < 1 || atoi(argv[3]) > LARGEST) {
        fprintf(stderr, "usage: echo_client PORT CONNECTIONS BYTES SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[2]), size = atoi(argv[3]), on = 1;
    double seconds = atof(argv[4]);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (int i = 0; i < size; i++)
        message[i] = (char)(i * 31 + 7);

    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    for (int i = 0; i < connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
            perror("connect");
            return 1;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event.data.fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        send(fd, message, size, 0);
    }

    long operations = 0;
    double began = now(), time;
    do {
        int count = epoll_wait(poller, events, EVENTS, 1000);
        for (int i = 0; i < count; i++) {
            ssize_t received = recv(events[i].data.fd, reply, sizeof reply, 0);
            if (received != size || memcmp(reply, message, size)) {
                fprintf(stderr, "wrong reply of %zd bytes\n", received);
                return 1;
            }
            operations++;
            send(events[i].data.fd, message, size, 0);
        }
        time = now();
    } while (time - began < seconds);
    printf("%.0f\n", operations / (time - began));
    return 0;
}
