/* The least that echoes on epoll, in C: one thread, no protection.
 * Prints READY and its address, like every server that compare starts.
 * Given a word, any, it never sleeps: then no client pays for waking it.
 *   cc -O2 -o echo_server echo_server.c && ./echo_server [spin]
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BACKLOG = 4096 };

static char buffer[65536];

int main(int argc, char **argv) {
    int on = 1, wait = argc > 1 ? 0 : -1;
    (void)argv;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, BACKLOG) ||
        getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("echo_server");
        return 1;
    }
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    printf("READY tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, wait);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int conn = accept(listener, NULL, NULL);
                setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = conn;
                epoll_ctl(poller, EPOLL_CTL_ADD, conn, &event);
                continue;
            }
            ssize_t received = recv(fd, buffer, sizeof buffer, 0);
            if (received <= 0)
                close(fd);
            else
                send(fd, buffer, received, MSG_NOSIGNAL);
        }
    }
}
