/* An echo by datagrams: server HOST PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_pton(AF_INET, words[1], &here.sin_addr);

    int on = 1, sock = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(sock, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (bind(sock, (struct sockaddr *)&here, sizeof here) < 0) {
        fprintf(stderr, "cannot have port %s at %s: %s\n", words[2], words[1], strerror(errno));
        return 1;
    }
    static char data[65535], asked[100];
    for (;;) {
        struct sockaddr_in sender;
        struct iovec piece = {data, sizeof data};
        struct msghdr message = {&sender, sizeof sender, &piece, 1, asked, sizeof asked, 0};
        ssize_t size = recvmsg(sock, &message, 0);
        if (size < 0) continue;
        /* In asked is now to which of our addresses it was sent: the answer comes from there. */
        piece.iov_len = size;
        sendmsg(sock, &message, 0);
    }
}
