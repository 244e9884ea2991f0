"""What a mistake is called in the language of the server: the call to look up there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from compare.check import client_languages, symptoms
from compare.check.client_languages import Language as Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
NAMES: dict[Language, str] = {
    "python": "Python",
    "c": "C",
    "js": "Node",
    "go": "Go",
    "java": "Java",
}
_PROGRAMS: tuple[tuple[str, Language], ...] = (  # by the name of what is run
    (r"(python|pypy)[\d.]*t?$", "python"),
    (r"(node|nodejs|deno|bun)$", "js"),
    (r"java$", "java"),
    (r"go$", "go"),
)
_FILES: dict[str, Language] = {
    ".py": "python",
    ".js": "js",
    ".mjs": "js",
    ".go": "go",
    ".java": "java",
    ".jar": "java",
    ".c": "c",
}
_GO = b"\xff Go buildinf:"  # stands in every program that Go's linker has made
_ELF = b"\x7fELF"

_CALLS: dict[str, dict[Language, str]] = {
    "partial": {
        "python": "socket.send() returns how many bytes it took; sendall() takes all, and blocks",
        "c": "send(2) returns how many bytes it took: a loop, and EPOLLOUT at EAGAIN",
        "js": "socket.write() keeps what it cannot send; wait for 'drain' when it returns false",
        "go": "net.Conn.Write takes all or returns an error; io.Copy(conn, conn) is an echo",
        "java": "SocketChannel.write() may take a part: while (buffer.hasRemaining()), OP_WRITE",
    },
    "stream": {
        "python": "socket.recv(n): at most n bytes, b'' at the end; while data := conn.recv(65536)",
        "c": "read(2), recv(2): fewer bytes than asked for, 0 at the end, in a loop",
        "js": "socket.on('data', piece => ...): a piece of the stream and no message",
        "go": "net.Conn.Read: 0 < n <= len(p), io.EOF at the end; io.ReadFull for exactly so many",
        "java": "InputStream.read(buffer): -1 at the end; ByteBuffer.flip() and compact()",
    },
    "bytes": {
        "python": "bytes and bytearray, without decode(); in 'rb' and 'wb' mode",
        "c": 'recv(2) returns the length: no strlen(), no printf("%s"), no NUL is added',
        "js": "Buffer, without toString() and setEncoding()",
        "go": "[]byte, without bufio.Scanner, which parts lines",
        "java": "InputStream and byte[], without Reader, String and a charset",
    },
    "end": {
        "python": "recv() == b'' is the end of the input; then sendall() the rest, conn.close()",
        "c": "recv(2) returned 0: send what is pending, shutdown(fd, SHUT_WR), close(2)",
        "js": "net.createServer({allowHalfOpen: true}), and socket.on('end', () => socket.end())",
        "go": "Read returned io.EOF: Write the rest, then conn.Close()",
        "java": "read() returned -1: write the rest, then close() the channel",
    },
    "error": {
        "python": "except OSError around recv() and send() of one connection, then close()",
        "c": "-1 and errno of recv(2), send(2), accept(2), each; signal(SIGPIPE, SIG_IGN)",
        "js": "socket.on('error', () => ...) for every socket, or it ends the process",
        "go": "if err != nil { return } in that goroutine, with defer conn.Close(); no log.Fatal",
        "java": "catch (IOException e) within the loop over connections, then close() and cancel()",
    },
    "each": {
        "python": "threading.Thread(target=serve, args=(conn,)), selectors, asyncio.start_server()",
        "c": "pthread_create(3), or epoll_wait(2) over all descriptors with O_NONBLOCK",
        "js": "no call that blocks (readFileSync, a long loop): all clients share one thread",
        "go": "go serve(conn) in the loop around Accept",
        "java": "an ExecutorService or virtual threads, or one Selector over all channels",
    },
    "own": {
        "python": "threading.Thread(target=serve, args=(conn,)); no global, no variable of a loop",
        "c": "pthread_create(3): what it returns; its last argument (void *)(intptr_t)fd, not &fd",
        "js": "let and const within the callback, no variable outside of it",
        "go": "go serve(conn) with an argument, and conn declared within the loop",
        "java": "a final local variable of the loop, no field that all threads share",
    },
    "line": {
        "python": "f'[{name}] {text}\\n'.encode(); rstrip() and splitlines() take the end away",
        "c": 'snprintf(3) with "[%s] %s\\n"; what strtok(3) and strcspn(3) cut is put back',
        "js": "`[${name}] ${text}\\n`; split('\\n') takes the end away",
        "go": 'fmt.Fprintf(conn, "[%s] %s\\n", name, text); bufio.Scanner takes the end away',
        "java": "out.write(text + '\\n'); BufferedReader.readLine() takes the end away",
    },
    "members": {
        "python": "for other in members: if other is not member",
        "c": "if (i != me) in the loop over all members",
        "js": "for (const other of members) if (other !== member)",
        "go": "for other := range members { if other != member {",
        "java": "for (Member other : members) if (other != member)",
    },
    "pressure": {
        "python": "asyncio: await writer.drain(); poll, epoll: drop POLLIN, EPOLLIN meanwhile",
        "c": "poll(2) events, epoll_ctl(2) EPOLL_CTL_MOD: OUT and no IN while much is unsent",
        "js": "stream.pipe() or pipeline(); else socket.pause() until 'drain'",
        "go": "Write blocks, so do not Read into a channel or slice without bound meanwhile",
        "java": "key.interestOps(OP_WRITE) while much is unsent, in place of OP_READ",
    },
    "wait": {
        "python": "selectors.select(timeout), epoll.poll(timeout), await; modify() away EPOLLOUT",
        "c": "poll(2), epoll_wait(2) with a timeout or -1; no POLLOUT, EPOLLOUT when all is sent",
        "js": "events and timers, no setImmediate() in a circle",
        "go": "a Read that blocks, a channel, time.After; no select with a default in a loop",
        "java": "selector.select(), not selectNow(); interestOps without OP_WRITE when all is sent",
    },
    "edge": {
        "python": "with select.EPOLLET: until BlockingIOError, after each event",
        "c": "with EPOLLET: until EAGAIN, after each event (the example in epoll(7))",
        "js": "'readable': read() until it returns null",
        "go": "not at hand: its run-time has the edges",
        "java": "selectedKeys().remove(key), or keys stay and changes are missed",
    },
    "queue": {
        "python": "sock.listen(4096), socket.create_server(address, backlog=4096)",
        "c": "listen(fd, 4096), and accept(2) until EAGAIN",
        "js": "server.listen({port, backlog: 4096})",
        "go": "net.Listen takes net.core.somaxconn: accept at once, and serve in a goroutine",
        "java": "new ServerSocket(port, 4096), or bind(address, 4096)",
    },
    "soon": {
        "python": "setsockopt(IPPROTO_TCP, TCP_NODELAY, 1), one sendall() for each answer",
        "c": "setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); one send(2) or writev(2)",
        "js": "socket.setNoDelay() (TCP_NODELAY), and one write() for each answer",
        "go": "TCP_NODELAY is set; one Write for each answer: bufio.Writer, Flush()",
        "java": "socket.setTcpNoDelay(true) (TCP_NODELAY), and one write() for each answer",
    },
    "begin": {
        "python": "socket.create_server((host, port)), accept(), then recv() and sendall()",
        "c": "socket(2), bind(2), listen(2), accept(2), recv(2), send(2)",
        "js": "net.createServer(socket => ...).listen({host, port}); dgram: bind(port, host)",
        "go": "net.Listen, Accept, Read and Write; net.ListenPacket for datagrams",
        "java": "new ServerSocket(port, 4096, address), accept(), getInputStream()",
    },
    "numbers": {
        "python": "struct.unpack('!i', ...), struct.pack('!q', ...); int.from_bytes(data, 'big')",
        "c": "ntohl(3), be16toh(3), htobe64(3); int32_t and int64_t, no long",
        "js": "buffer.readInt32BE(at), readUInt16BE(at), writeBigInt64BE(value, at)",
        "go": "binary.BigEndian.Uint32(data), int32(...); binary.BigEndian.PutUint64(...)",
        "java": "DataInputStream.readInt(), readUnsignedShort(); ByteBuffer.getInt(), putLong()",
    },
    "reuse": {
        "python": "setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) before bind(); create_server() has it",
        "c": "setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) before bind(2)",
        "js": "it is set by server.listen()",
        "go": "it is set by net.Listen",
        "java": "serverSocket.setReuseAddress(true) before bind()",
    },
    "signal": {
        "python": "signal.signal(SIGTERM, ...) or loop.add_signal_handler(); threads: daemon=True",
        "c": "sigaction(2) without SA_RESTART, or signalfd(2); nothing but a flag in the handler",
        "js": "process.on('SIGTERM', () => { server.close(); ... destroy() of each socket })",
        "go": "signal.NotifyContext(ctx, syscall.SIGTERM), then listener.Close()",
        "java": "Runtime.addShutdownHook(); executor.shutdownNow()",
    },
    "taken": {
        "python": "except OSError as error: sys.exit(f'port {port}: {error.strerror}')",
        "c": 'if (bind(...) < 0) { fprintf(stderr, "port %d: %s\\n", ...); return 1; }',
        "js": "server.on('error', error => { console.error(port, error.code); process.exit(1) })",
        "go": "if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }",
        "java": "catch (BindException e) { System.err.println(port + ...); System.exit(1); }",
    },
    "memory": {
        "python": "close() and del what belongs to a connection; dict entries, tasks, threads",
        "c": "free(3) and close(2) for each connection; pthread_detach(3)",
        "js": "removeListener, Map.delete on 'close'; clearTimeout",
        "go": "defer conn.Close(); a goroutine that waits for ever is a leak, too",
        "java": "key.cancel() and channel.close(); remove from collections; threads that end",
    },
    "datagram": {
        "python": "data, peer = sock.recvfrom(65535); sock.sendto(data, peer); except OSError",
        "c": "recvfrom(2) with 65,535 bytes and the length it returned; sendto(2), errno ignored",
        "js": "socket.on('message', (data, peer) => socket.send(data, peer.port, peer.address))",
        "go": "n, peer, err := conn.ReadFrom(buffer); conn.WriteTo(buffer[:n], peer)",
        "java": "new DatagramPacket(new byte[65535], 65535); setLength() before each receive()",
    },
}

_BY_SYMPTOM = {
    symptoms.GAP: "partial",
    symptoms.LOST: "partial",
    symptoms.TWICE: "partial",
    symptoms.LET_DROP: "partial",
    symptoms.ALTERED: "bytes",
    symptoms.LINE_PER_RECV: "stream",
    symptoms.NO_LINE_END: "line",
    symptoms.OWN_WORDS: "members",
    symptoms.TO_TEXT: "bytes",
    symptoms.AT_A_NUL: "bytes",
    symptoms.CUT_SHORT: "end",
    symptoms.RESET: "end",
    symptoms.NO_END: "end",
    symptoms.END_AGAIN: "end",
    symptoms.SIGPIPE: "error",
    symptoms.UNCAUGHT: "error",
    symptoms.AGAIN: "partial",
    symptoms.DECODED: "bytes",
    symptoms.ONCE: "stream",
    symptoms.NEXT_ONE: "each",
    symptoms.LOCKED: "each",
    symptoms.LISTENER_UNASKED: "wait",
    symptoms.SPINS: "wait",
    symptoms.PASSED_OVER: "wait",
    symptoms.UNASKED: "wait",
    symptoms.EDGE_OF_END: "edge",
    symptoms.CLOSED_UNANSWERED: "stream",
    symptoms.ALWAYS_OUT: "wait",
    symptoms.SLEEPS: "wait",
    symptoms.SELECT: "each",
    symptoms.EDGE: "edge",
    symptoms.EDGE_OF_LISTENER: "edge",
    symptoms.UNWATCHED: "edge",
    symptoms.OUT_OF_MEMORY: "pressure",
    symptoms.GOES_ON: "signal",
    symptoms.UNANSWERED: "datagram",
    symptoms.SILENT: "stream",
    symptoms.OTHERS: "bytes",
    symptoms.COUNTED: "memory",
    symptoms.HANDED_OVER: "own",
    symptoms.DESERTED: "own",
    symptoms.NOT_GIVEN_BACK: "end",
}
_BEGINNINGS = {  # of symptoms in which a name or a number is put
    "each": (symptoms.BLOCKED_IN_SEND, symptoms.BLOCKED_IN_RECV, symptoms.JOINED),
    "queue": (symptoms.BACKLOG,),
    "memory": (symptoms.NOT_JOINED,),
}
_BY_CHECK = {
    "life/0": "begin",
    "fr/1": "stream",
    "fr/2": "stream",
    "fr/3": "numbers",
    "fr/5": "numbers",
    "fr/7": "end",
    "tcp/1": "bytes",
    "tcp/2": "stream",
    "tcp/3": "end",
    "tcp/4": "end",
    "tcp/5": "each",
    "tcp/6": "error",
    "tcp/7": "error",
    "tcp/8": "pressure",
    "tcp/9": "each",
    "tcp/12": "queue",
    "tcp/12-held": "each",
    "tcp/13": "memory",
    "tcp/13-kept": "memory",
    "tcp/17": "error",
    "tcp/19": "reuse",
    "tcp/20": "bytes",
    "tcp/21": "bytes",
    "tcp/22": "stream",
    "tcp/23": "soon",
    "tcp/24": "bytes",
    "tcp/25": "wait",
    "tcp/26": "queue",
    "life/1": "signal",
    "life/2": "signal",
    "life/6": "taken",
    "udp/1": "datagram",
    "udp/2": "datagram",
    "udp/6": "datagram",
    "udp/7": "datagram",
    "udp/8": "wait",
    "udp/9": "memory",
    "chat/3": "bytes",
    "chat/4": "stream",
    "chat/5": "pressure",
    "chat/6": "error",
    "chat/13": "end",
    "chat/15": "soon",
    "later/4": "error",
}


_OF_CLIENTS = {
    symptoms.TAKES_TURNS: "both",
    symptoms.LEFT_EARLY: "last",
    symptoms.PIECES_AS_LINES: "pieces",
}


def mistake_of(id_: str, usual: str, language: Language | None) -> str:
    """The mistake that the check usually finds, as it is made in that language."""
    of_language = client_languages.MISTAKES.get(id_, {})
    return of_language.get(language, usual) if language else usual


def of_command(command: Sequence[str]) -> Language | None:
    """The language of the program that `command` starts, as far as its name or file tells."""
    for word in command[:3]:
        name = Path(word).name
        for pattern, language in _PROGRAMS:
            if re.fullmatch(pattern, name):
                return language
        if known := _FILES.get(Path(word).suffix) or _of_file(Path(word)):
            return known
    return None


def _of_file(path: Path) -> Language | None:
    """Of a program in machine code: Go says so of itself, and all others call what C calls."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _ELF:
                return None
            return "go" if _GO in file.read(1 << 24) else "c"
    except OSError:
        return None


def look_up(id_: str, likely: str, language: Language) -> str:
    """The calls that matter for that mistake, found by that check; "" where there are none."""
    if id_ in client_languages.BY_CHECK:
        of_client = _OF_CLIENTS.get(likely, client_languages.BY_CHECK[id_])
        return client_languages.CALLS[of_client][language]
    topic = _BY_SYMPTOM.get(likely)
    for each, texts in _BEGINNINGS.items():
        if any(likely.startswith(text.partition("{")[0]) for text in texts):
            topic = each
    topic = topic or _BY_CHECK.get(id_, "")
    return _CALLS[topic][language] if topic else ""
