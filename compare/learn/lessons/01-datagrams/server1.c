/* An echo by datagrams: server HOST PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &here.sin_addr);

    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(sock, (struct sockaddr *)&here, sizeof here) < 0) return 1;
    static char data[65535];
    for (;;) {
        struct sockaddr_in sender;
        socklen_t length = sizeof sender;
        ssize_t size = recvfrom(sock, data, sizeof data, 0, (struct sockaddr *)&sender, &length);
        sendto(sock, data, size, 0, (struct sockaddr *)&sender, length);
    }
}
