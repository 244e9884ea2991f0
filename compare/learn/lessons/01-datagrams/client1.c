/* Asks an echo by datagrams: client HOST PORT; types a line, gets its answer. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST_MS = 100, TIMES = 6 };

static char question[65536], answer[65536];
static struct sockaddr_in server = {.sin_family = AF_INET};

/* The size of the answer, or -1. */
static ssize_t ask(int sock, size_t length) {
    for (int times = 0, wait = FIRST_MS; times < TIMES; times++, wait *= 2) {
        sendto(sock, question, length, 0, (struct sockaddr *)&server, sizeof server);
        struct pollfd watched = {.fd = sock, .events = POLLIN};
        if (poll(&watched, 1, wait) > 0)
            return recvfrom(sock, answer, sizeof answer, 0, NULL, NULL);
    }
    return -1;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    server.sin_port = htons(atoi(words[2]));
    inet_pton(AF_INET, words[1], &server.sin_addr);

    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    while (fgets(question, sizeof question, stdin)) {
        ssize_t size = ask(sock, strlen(question));
        if (size > 0) fwrite(answer, 1, size, stdout);
        fflush(stdout);
    }
}
