/* A UDP client of an echo: asks HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { FIRST_MS = 500, TIMES = 4, SIZE = 65536 };

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 once the same bytes have come. */
static int ask(int fd, const char *question, ssize_t size) {
    static char answer[SIZE];
    for (int attempt = 0; attempt < TIMES; attempt++) {
        if (send(fd, question, size, 0) < 0) return errno;
        long left, until = now_ms() + (FIRST_MS << attempt);
        while ((left = until - now_ms()) > 0) {
            struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
            if (poll(&poll_fd, 1, left) <= 0) continue;
            ssize_t came = recv(fd, answer, SIZE, 0);
            if (came < 0) return errno;
            if (came == size && memcmp(question, answer, size) == 0) return 0;
        }
    }
    return ETIMEDOUT;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) return 2;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), lost = 0;
    connect(fd, (struct sockaddr *)&server, sizeof server); /* nobody else is heard */
    char *line = NULL;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0;) {
        if (line[size - 1] == '\n') size--;
        int why = ask(fd, line, size);
        if (why) {
            fprintf(stderr, "%s %s: %s\n", words[1], words[2], strerror(why));
            lost = 1;
        } else {
            printf("%.*s\n", (int)size, line);
            fflush(stdout);
        }
    }
    return lost;
}
