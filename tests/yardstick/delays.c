/* An echo that answers after a delay which is known: every Nth message of a connection after
 * LONG_US, all others after SHORT_US. A thread for each connection sleeps on a timer until then,
 * counted from when the message was there.
 *   cc -O2 -pthread -o delays delays.c && ./delays SHORT_US LONG_US N
 */
#include "ready.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>

static long short_us, long_us, every;

static void *serve(void *argument) {
    int fd = (int)(intptr_t)argument;
    char buffer[65536];
    prctl(PR_SET_TIMERSLACK, 1); /* else a sleep may end 50 us late */
    for (long number = 1;; number++) {
        struct timespec due;
        ssize_t received = recv(fd, buffer, sizeof buffer, 0);
        clock_gettime(CLOCK_MONOTONIC, &due);
        if (received <= 0)
            break;
        due.tv_nsec += 1000 * (number % every ? short_us : long_us);
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        send(fd, buffer, received, MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    short_us = atol(argv[1]), long_us = atol(argv[2]), every = atol(argv[3]);
    int listener = ready();
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && !pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
            pthread_detach(thread);
    }
}
