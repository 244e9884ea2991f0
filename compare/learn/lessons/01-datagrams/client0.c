/* Asks an echo by datagrams: client HOST PORT; types a line, gets its answer. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static char question[65536], answer[65536];

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &server.sin_addr);

    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval second = {.tv_sec = 1};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    while (fgets(question, sizeof question, stdin)) {
        sendto(sock, question, strlen(question), 0, (struct sockaddr *)&server, sizeof server);
        ssize_t size = recvfrom(sock, answer, sizeof answer, 0, NULL, NULL);
        if (size < 0) return 1;
        fwrite(answer, 1, size, stdout);
        fflush(stdout);
    }
}
