"""What a client's mistake is called in its language: the call to look up, and how it is made."""

from __future__ import annotations

from typing import Literal

Language = Literal["python", "c", "js", "go", "java"]

CALLS: dict[str, dict[Language, str]] = {
    "keyboard": {
        "python": "os.read(0, 65536), and split at b'\\n' yourself; no input(), no sys.stdin",
        "c": "read(2) of descriptor 0 into your own buffer, and memchr(3); no fgets(3), scanf(3)",
        "js": "process.stdin.on('data', piece => ...)",
        "go": "os.Stdin.Read, or a bufio.Scanner in a goroutine of its own",
        "java": "System.in.read(buffer) in a thread of its own",
    },
    "line": {
        "python": "sock.sendall(line.encode() + b'\\n'): input() takes the end away",
        "c": "fgets(3) keeps the newline, scanf(3) does not; fflush(3) of a FILE; send(2)",
        "js": "socket.write(`${line}\\n`): 'line' of readline comes without its end",
        "go": 'fmt.Fprintf(conn, "%s\\n", line): bufio.Scanner takes the end away; Flush()',
        "java": "out.write(line + '\\n'): readLine() takes the end away; out.flush()",
    },
    "both": {
        "python": "select.poll() or selectors over 0 and the socket; or a thread for each",
        "c": "poll(2) or epoll_wait(2) over 0 and the socket; setvbuf(3), fflush(stdout)",
        "js": "process.stdin.on('data'), socket.on('data'): both at any time",
        "go": "go io.Copy(os.Stdout, conn) beside io.Copy(conn, os.Stdin)",
        "java": "a thread for System.in and another one for the socket; System.out.flush()",
    },
    "pieces": {
        "python": "sys.stdout.buffer.write(piece) and flush(); else codecs.getincrementaldecoder()",
        "c": 'write(1, data, length), as long as recv(2) said; no puts(3), no printf("%s\\n")',
        "js": "process.stdout.write(piece) of a Buffer; no console.log(), no toString()",
        "go": "os.Stdout.Write(buffer[:n]) or io.Copy; no fmt.Println(string(buffer[:n]))",
        "java": "System.out.write(buffer, 0, n) and flush(); no println(new String(...))",
    },
    "last": {
        "python": "sock.shutdown(socket.SHUT_WR) at b'' or EOFError, then recv() until b''",
        "c": "read(2) or fgets(3) at the end: shutdown(fd, SHUT_WR), recv(2) until it returns 0",
        "js": "process.stdin.on('end', () => socket.end()), and no process.exit()",
        "go": "conn.(*net.TCPConn).CloseWrite(), then read until io.EOF, before main() returns",
        "java": "socket.shutdownOutput(), then read() until -1",
    },
    "gone": {
        "python": "recv() == b'', except OSError as error: print(error.strerror, file=sys.stderr)",
        "c": "recv(2): 0 is the end, -1 an error: strerror(errno) to stderr; poll(2): POLLHUP",
        "js": "socket.on('end', ...), socket.on('error', error => console.error(error.code))",
        "go": "Read: io.EOF is the end, any other error is told on os.Stderr",
        "java": "read() == -1 is the end; catch (IOException e), System.err.println(e)",
    },
    "refused": {
        "python": "except OSError as error: sys.exit(f'{host}:{port}: {error.strerror}')",
        "c": 'connect(2) == -1: fprintf(stderr, "%s:%s: %s\\n", host, port, strerror(errno))',
        "js": "socket.on('error', error => { console.error(port, error.code); process.exit(1) })",
        "go": "if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }",
        "java": "catch (ConnectException e) { System.err.println(port + ...); System.exit(1); }",
    },
    "unsent": {
        "python": "send() returns how many bytes it took; keep the rest, poll() for POLLOUT",
        "c": "send(2) returns how many bytes it took, or EAGAIN; poll(2): POLLOUT",
        "js": "socket.write() returned false: process.stdin.pause() until 'drain'",
        "go": "Write blocks: in a goroutine of its own it stops nobody else",
        "java": "OutputStream.write() blocks: in a thread of its own it stops nobody else",
    },
    "file": {
        "python": "select.epoll.register() refuses a file (EPERM); select.poll() takes it",
        "c": "epoll_ctl(2): EPERM for a regular file: read it without asking; poll(2) takes it",
        "js": "process.stdin.on('data'), on('end'): a file is read like a pipe",
        "go": "os.Stdin.Read: a file is read like a pipe",
        "java": "System.in.read(): a file is read like a pipe",
    },
    "connect": {
        "python": "sock.settimeout(s) and connect() in a thread; or connect_ex(), SO_ERROR",
        "c": "connect(2): EINPROGRESS; poll(2): POLLOUT; getsockopt(2): SO_ERROR",
        "js": "net.connect() does not block; setTimeout(() => socket.destroy(), ms)",
        "go": "net.DialTimeout in a goroutine of its own",
        "java": "socket.connect(address, milliseconds) in a thread of its own",
    },
    "rest": {
        "python": "poll.unregister() what has ended, or is not to be read now",
        "c": "EPOLL_CTL_DEL, or a negative fd for poll(2): POLLHUP comes without being asked for",
        "js": "socket.pause(), process.stdin.pause(); no setInterval() to look",
        "go": "a Read that blocks, a channel; no select with a default in a loop",
        "java": "a read() that blocks, selector.select() and key.cancel(); no available()",
    },
    "again": {
        "python": "sock.settimeout(seconds); except TimeoutError: sendto() again, and wait longer",
        "c": "poll(2) with a timeout, or setsockopt(2) SO_RCVTIMEO; then sendto(2) again",
        "js": "setTimeout(() => socket.send(question), ms); clearTimeout() at the answer",
        "go": "conn.SetReadDeadline(...); err.(net.Error).Timeout(): Write again",
        "java": "socket.setSoTimeout(ms); catch (SocketTimeoutException e): send() again",
    },
    "answer": {
        "python": "data, peer = sock.recvfrom(65535): whose is it, and of which question?",
        "c": "recvfrom(2) with 65,535 bytes: src_addr, or connect(2); compare what came",
        "js": "socket.on('message', (data, peer) => ...): peer.address and peer.port; data",
        "go": "net.DialUDP hears its own peer only; ReadFrom tells whose it is",
        "java": "packet.getSocketAddress(), or socket.connect(address); 65,535 bytes of room",
    },
}
BY_CHECK = {
    "cl/1": "line",
    "cl/2": "both",
    "cl/3": "keyboard",
    "cl/4": "pieces",
    "cl/5": "last",
    "cl/5-tty": "last",
    "cl/6": "gone",
    "cl/6-said": "gone",
    "cl/7": "gone",
    "cl/8": "refused",
    "cl/9": "unsent",
    "cl/10": "file",
    "cl/11": "connect",
    "cl/12": "rest",
    "uc/1": "again",
    "uc/2": "answer",
    "uc/3": "answer",
    "uc/4": "answer",
    "uc/5": "refused",
    "uc/6": "rest",
}
# Instead of the catalogue's mistake, where that is another one's, or Python's only.
MISTAKES: dict[str, dict[Language, str]] = {
    "cl/1": {
        "c": "What is read by scanf(), or cut by strcspn(), has no line end any more: put it back. "
        "Or a FILE is buffered: fflush(), or send() in place of fprintf().",
        "js": "readline's 'line' comes without its end: put it back. Or all is kept until the "
        "input ends.",
        "go": "bufio.Scanner takes the line end away: put it back. Or a bufio.Writer that is not "
        "flushed.",
        "java": "readLine() takes the line end away: put it back. Or a Writer that is not flushed; "
        "println() ends a line as the system does.",
    },
    "cl/3": {
        "c": "poll() or epoll_wait() with fgets() or getline(): the FILE reads all three lines and "
        "gives one, and the descriptor is not readable any more. Use read(2) and find the lines "
        "yourself.",
        "js": "Only the first line of a 'data' event is taken: it may hold many.",
        "go": "A new bufio.Reader for each line takes what the last one has read ahead with it.",
        "java": "A new Scanner or BufferedReader for each line: each reads ahead. Keep one.",
    },
    "cl/4": {
        "c": 'A newline that is added to each piece: puts(), printf("%s\\n"); or fgets() and a '
        "buffer of lines, of which only whole ones are shown. write() the bytes as they came.",
        "js": "toString() of each piece: process.stdout.write() of the Buffer, or "
        "socket.setEncoding('utf8'), which keeps half a character for the next piece.",
        "go": "fmt.Println(string(buffer[:n])) adds a line end to each piece: os.Stdout.Write it.",
        "java": "new String(buffer) of each piece: System.out.write() the bytes, or one "
        "InputStreamReader, which keeps half a character.",
    },
    "udp/1": {
        "c": "A receive buffer that is too small cuts; `if (length <= 0)` drops the empty one, "
        "whose length is 0. Sending an answer again.",
        "js": "`if (data.length)` drops the empty one; sending an answer again.",
        "go": "A receive buffer that is too small cuts; `if n == 0` drops the empty one.",
        "java": "A receive buffer that is too small cuts; a DatagramPacket that is used again "
        "keeps the length of the last one; `length == 0` drops the empty one.",
    },
}
