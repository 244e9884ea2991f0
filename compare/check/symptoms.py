"""What a failure shows by itself, whichever check meets it: one symptom, one explanation."""

from __future__ import annotations

RESET = (
    "A reset where the end belongs: close() with input that was not read, or with SO_LINGER 0, "
    "sends RST and not FIN, and what the client has not read yet is lost. Read until recv() "
    "returns 0, send what is pending, and close() without SO_LINGER."
)
NO_END = (
    "Not closing when the client has closed its side: recv() has returned 0, and all is sent. "
    "tcp/4 asks for just this."
)
CHANGED = (
    "What comes back is not what was sent, to anybody: make tcp/1, tcp/2 and tcp/20 to tcp/22 pass "
    "first, or udp/1 and udp/7. If they do, it is what could not be sent at once: send() takes "
    "only some of it, and the rest is yours to keep."
)
ALTERED = (
    "What comes back is not what was sent: a text was made of the bytes, or a line, or lower case, "
    "or a NUL was taken for their end; or a buffer was filled anew before it was sent. Send on the "
    "bytes as they are, and as many as recv() said."
)
TO_TEXT = (
    "The bytes were made a text and then bytes again, and what is no text in that encoding became "
    "EF BF BD (U+FFFD), two other bytes, or nothing. Pass bytes on as they are, and decode nothing."
)
AT_A_NUL = (
    'A 00 was taken for the end of what came: strlen(), printf("%s") and strcpy() stop there. A '
    "byte may have any value, and recv() has said how many came: send so many."
)
ADDED = (
    "Something comes that no client has sent: a greeting, a prompt, a word before or after each "
    "message, a line end or a NUL that is added. An echo is what came, and nothing else."
)
CLOSED = (
    "The server ends a connection that its client goes on using: a byte or a word taken for a "
    "command, an exception, a limit; or a descriptor that is closed a second time, when its number "
    "is another client's. tcp/20 to tcp/22 ask for the former."
)
ENDED = (
    "An ordinary client has ended the whole server: the calls below show what it did. Resets, "
    "early ends, urgent bytes and refused answers have checks of their own: tcp/6, tcp/17, "
    "tcp/18, udp/6."
)
SILENT = (
    "A message alone is not answered: the server waits for more, such as a line end, a full buffer "
    "or the client's end, or it keeps what it writes in a buffer that nobody flushes; or what "
    "would send is never run, such as a coroutine that nobody awaits. tcp/2 and tcp/20 ask for "
    "just this."
)
UNANSWERED = (
    "A datagram is not answered, though its client waits and nobody else asks: it is dropped, or "
    "counted against a limit; or its answer goes to another client, such as the first one that "
    "asked (connect(2)), or is sent by another socket, whose port its client does not know."
)
COUNTED = (
    "One client of many is not served, though each leaves before the next ones come: a count of "
    "connections that only goes up, or descriptors, threads or places that are not given back, "
    "such as those of who was reset, or never said anything."
)
LISTENS = (
    "A child process that has inherited the listening socket and lives on: close it in the child, "
    "and end the children, too."
)
GOES_ON = (
    "SIGTERM does not end it: an interruption that is caught and forgotten, or a thread that "
    "nobody tells. life/1 asks for just this."
)
WAITS = "One client is not served while others are: make tcp/5 and tcp/9 pass first."
UNGREETED = (
    "A client that has connected is not greeted: the server waits for something else meanwhile, "
    "such as the name of another one, or takes fewer than ten. Accept newcomers and wait for names "
    "at the same time."
)
REFUSED = (
    "A client is closed in place of being greeted: a count of those who are there that does not go "
    "down when one leaves without a name or by a reset; or fewer places than ten."
)
ROSTER = (
    "The roster is not who is there: it is cut after so many names, or is made before or after the "
    "newcomer enters, in a step of its own, or a member is in it only when it has said something."
)
NO_LINE_END = (
    "Something came, and no line end after it: who reads lines waits for it for ever. Put the "
    "newline that was taken off, or that was never there, at the end of each line that is said."
)
LINE_PER_RECV = (
    "Several lines that come in one segment are taken for one: each recv() is taken for a line. "
    "Keep what has come, take out each line as far as there is an LF, and keep the rest for the "
    "next time. chat/4 asks for just this."
)
OWN_WORDS = "What one says comes back to who said it: say it to all members but its own connection."
ONE_THREAD = {  # the mistake, where there is one thread, which nobody else can interrupt
    "tcp/12-held": "select(), whose sets hold the descriptors below FD_SETSIZE, 1,024: FD_SET() "
    "beyond writes where something else is, and other languages raise; use poll() or epoll. Or a "
    "table with a fixed number of places that the idle ones occupy.",
    "chat/8": "A newcomer is told of others who came at the same time, and then again by the "
    "roster, or of neither: make the roster, tell the others, and enter it into the room at once, "
    "when its name is there, and tell nobody who has given none.",
    "chat/9": "A send() that takes only part of a line, whose rest is dropped or comes after "
    "another one's; telling the sender, too. Give each member an outbox, and send from there.",
}
SAID = (
    "What is said reaches the others, but not as `[name] text` and nothing else: a time, other "
    "brackets, a colon. chat/10 asks for just this."
)
UNHEARD = (
    "The room does not say to all who came, who left, and what was said: make chat/6, chat/9 and "
    "chat/10 pass first."
)
NOT_ALL = (
    "Of many datagrams that come at once some are not answered: one recvfrom() for each event of "
    "an edge (EPOLLET), a limit, a small SO_RCVBUF, or an answer that is dropped as the buffer is "
    "full (EAGAIN). Read until recvfrom() says EAGAIN."
)
MORE_THAN_ONCE = (
    "An answer comes that was sent before: it is sent again, or two threads share the variables "
    "into which recvfrom() puts the datagram and its sender. Give each its own."
)
MISDIRECTED = (
    "The answer goes to another client: a table of clients by their port alone, or a variable of "
    "all in which the address of the last one is. Answer to the address that recvfrom() gave with "
    "this datagram."
)
OTHERS = (
    "A buffer that several clients share: one global array for recv(), or one that is filled anew "
    "before what is in it has been sent. Give each connection its own, or copy what is unsent."
)

# By how it ended.

SIGPIPE = (
    "It wrote to a client that had gone, and SIGPIPE ends a program that makes no arrangements "
    "for it: ignore the signal, or pass MSG_NOSIGNAL to send(); the call then says EPIPE, which "
    "is that client's end and nobody else's."
)
MEMORY_FAULT = (
    "It used memory that is not its own: a buffer that is too short for what came, a connection "
    "that was freed and is used again, an array with a place for each descriptor that has too few."
)
SELECT = (
    "select() cannot hold a descriptor above 1,023 (FD_SETSIZE), whatever ulimit allows: use "
    "poll() or epoll."
)
DESCRIPTORS = (
    "accept() said that there are no more descriptors, and that ended it: close those of clients "
    "that are gone, and survive the error, which passes when one leaves."
)
DECODED = (
    "It decodes what it has read, and that is no whole text: any byte may come, and a character "
    "may be cut between two reads. Pass bytes on as they are, or decode only what is complete."
)
AGAIN = (
    "A non-blocking call said EAGAIN, which is no error: there is nothing to read, or no room to "
    "write, for now. Wait until the socket is ready, and keep what was not sent."
)
UNCAUGHT = (
    "An error of one connection has ended the whole server. recv(), send() and what is called "
    "right after accept() fail when a client resets or leaves, which is an ordinary end: handle "
    "the error there, and close that connection."
)
REGISTERED = (
    "It registers what is registered already: modify() changes what is waited for, unregister() "
    "ends it; and a descriptor's number comes again when one was closed without unregister()."
)
FORGOTTEN = (
    "It used a connection that it had closed before: an event that was reported together with the "
    "one that ended it, or a place in a table that was kept."
)
OUT_OF_MEMORY = (
    "It ran out of memory, or was killed for what it took: something is kept without bound, such "
    "as what a client does not read, or room for a length that a client has only claimed."
)
OVER = (
    "It came to its end by itself, with status 0, as if its work were done: a server that serves "
    "one client and is over lacks the loop around accept(); or an error was caught outside of it."
)

LEFT_EARLY = (
    "It left at the end of its input, while the other side had more to say: shutdown(SHUT_WR) "
    "tells that nothing more comes, and one reads on until recv() returns 0."
)

INTERRUPTED = (
    "A call said EINTR, which is no error: a signal came while it waited, and a stop and a "
    "continuation are such, too. Call it again; select(), poll(), epoll_wait() and a wait with a "
    "timeout say so even where SA_RESTART is set: signal(7)."
)

# By what came.

TAKES_TURNS = (
    "The first line came, and the second one is not sent before the server has said something: "
    "the client takes turns, input(), send(), recv(). Wait for the keyboard and the socket at "
    "once, by poll(), or by a thread each."
)
PIECES_AS_LINES = (
    "A line end is added to each piece that comes: print(), puts(), println() and console.log() "
    "do so. What recv() returns is no line: write the bytes as they came, and nothing else."
)

GAP = (
    "A piece in the middle is missing, and what follows it came: send() took only part of what it "
    "was given, and the rest was dropped. It returns how many bytes it took: send the others, too, "
    "when there is room again (EPOLLOUT). Or two pieces have changed places, as where a task of "
    "its own answers each."
)
LOST = (
    "A byte here and there is missing, of a value that came through elsewhere: a length that is "
    "one too small, a slice such as data[:-1], a place kept for the NUL of a string. Send the "
    "first of those that recv() said, the last, and all between."
)
TWICE = (
    "What had been sent came again: after a send() that took only part, the whole was sent anew. "
    "Go on behind the bytes that it said it took."
)
ONCE = (
    "It answers what comes first and closes: a connection is served until its client ends it. "
    "Read in a loop, and answer each piece, until recv() returns 0."
)
LET_DROP = (
    "Bytes are missing, and nobody has them any more: they are not in the kernel, nor does the "
    "server keep them. send() took only part of what it was given, and nobody looked at what it "
    "returned. Keep the rest, and send it when there is room (EPOLLOUT, POLLOUT)."
)
CUT_SHORT = (
    "The end came before all had: the connection was closed with bytes still unsent in the "
    "server's own hands, such as after recv() had returned 0. Send what is pending, then close."
)

# By what it was doing meanwhile.

OR_THREADS = " Or give each connection a thread."
BLOCKED_IN_SEND = (
    "Its threads are all in send(), where they wait for {whom} to read; meanwhile nobody else is "
    "served. Make the sockets non-blocking, keep what is not taken and wait for EPOLLOUT."
    + OR_THREADS
)
BLOCKED_IN_RECV = (
    "Its threads are all in recv(), where they wait for {whom} to say something; meanwhile nobody "
    "else is served. Wait for all connections at once (epoll)." + OR_THREADS
)
JOINED = (
    "The thread that accepts waits for another one, which serves {whom}, and for no newcomer "
    "meanwhile: a join() right after start(), or a lock that the other one holds. Start the "
    "thread, and go on to the next accept()."
)
RAISED = (
    "An exception that nobody caught: {last} The thread, task or callback that served this client "
    "has ended there; the lines on stderr say where."
)
NO_DEADLINE = (
    "It waits in send() for a client that reads nothing, and for as long as that likes: a deadline "
    "is needed there, too (settimeout(), SO_SNDTIMEO, poll() with a timeout before it), after "
    "which the connection is reset."
)
NEXT_ONE = (
    "It waits in accept() for the next client, with unread input of this one: it has answered once "
    "and gone on. Go on reading until recv() returns 0, with a thread for each or with epoll."
)
HANDED_OVER = (
    "Several of its threads serve one connection, and others have nobody: the address of the "
    "variable into which accept() puts the next connection was handed to the thread (&conn), or "
    "all threads use one variable. Hand over the value, or a copy of its own for each."
)
DESERTED = (
    "It holds connections that no thread serves, and is in accept(): the thread was not started, "
    "and nobody looked at what pthread_create() returned; or it serves another connection, whose "
    "number it found in a variable that all share (&conn); or it has ended without close()."
)
NOT_JOINED = (
    "After about {clients} clients no thread came for a new one: of those that have ended the "
    "stacks are all still there, as they are neither detached nor joined. pthread_detach() each, "
    "or create it detached, and look at what pthread_create() returns."
)
NOT_GIVEN_BACK = (
    "A connection that is gone is closed by nobody: who serves it must close() it on every way "
    "out, after recv() has returned 0, after an error, and where already its first call fails. A "
    "thread that was handed the address of accept()'s variable (&conn) closes another one."
)
LOCKED = (
    "Threads that should serve clients wait for each other (a lock, a queue, a join): "
    "something is held that another one needs, such as a lock during a send() or recv() that "
    "waits, a lock that the same thread takes a second time, or a place that was not given back."
)
SLEEPS = (
    "It sleeps (sleep(), or a timer in the one thread), and serves nobody meanwhile: wait for the "
    "sockets and for the next due time at once, by the timeout of epoll_wait()."
)
SPINS = (
    "It runs all the time: it asks again and again whether there is something to do, in place of "
    "waiting until there is (epoll_wait(), poll() or a call that blocks)."
)
ALWAYS_OUT = (
    "It waits for EPOLLOUT with nothing to send, and a socket with room is always ready, so that "
    "epoll_wait() returns at once for ever: ask for EPOLLOUT only while something is unsent."
)
END_AGAIN = (
    "A client has closed its side, and the server asks again and again whether it says more: "
    "recv() returns 0 each time. That is the end of the input: send what is pending, and close."
)
EDGE = (
    "An edge was missed: with EPOLLET one is told once, and here are unread bytes of which nobody "
    "is told again. Read until recv() says EAGAIN after each event, also when reading was put off."
)
EDGE_OF_END = (
    "An edge was missed: with EPOLLET the bytes of a client and its end that follows them are told "
    "of once, if both are there. Read until recv() says EAGAIN or returns 0, after each event."
)
UNASKED = (
    "It waits in select() or poll(), and this connection, which has unread input, is not among "
    "those that it asks for: the sets are to be filled anew before each select(), whose first "
    "argument is the highest descriptor and 1 more; or an index of poll()'s array is off by one."
)
PASSED_OVER = (
    "It runs all the time, and there is unread input: select(), poll() or epoll_wait() returns at "
    "once, as somebody is ready, and the loop passes over just this one, such as by `i < max` in "
    "place of `i <= max`, by a wrong index, or by an event that is not looked at."
)
CLOSED_UNANSWERED = (
    "It accepts and closes without an answer. With a socket that does not block, recv() said "
    "EAGAIN, since nothing had come yet: that is no error and no end, so wait until it is ready. "
    "Or close() comes before the answer; or an exception is caught; or it is another --profile's."
)
EDGE_OF_LISTENER = (
    "An edge was missed: with EPOLLET the listener tells once of several newcomers. Call accept() "
    "until it says EAGAIN."
)
LISTENER_UNWATCHED = (
    "Newcomers wait to be accepted, and the listener is not among what epoll waits for: it was "
    "taken out, or never put in again."
)
LISTENER_UNASKED = (
    "It waits in select() or poll(), and the listener, at which newcomers wait, is not among what "
    "it asks for: one wait at a time, for one connection. Wait for all of them, the listener too, "
    "in one call."
)
UNWATCHED = (
    "There are unread bytes, and the connection is not watched for EPOLLIN: it was taken out of "
    "epoll, or its interest changed to writing, and never given back."
)
BACKLOG = (
    "The queue of listen() was full, with a backlog of {backlog}: the kernel drops who comes then, "
    "who tries again only after a second. Give listen() a large one (4096; the kernel cuts it to "
    "net.core.somaxconn), and accept at once."
)
SWAPPED = (
    "Byte order: x86 and ARM keep the smallest byte first, the network has the largest one first. "
    "struct with '<' or '=', or ntohl() forgotten: 00 00 00 05 is 5, and read the other way round "
    "83,886,080, for so many bytes such a server waits. fr/3 asks for just this."
)
OTHER_VARIANT = (
    "It is right for another variant of the protocol: the length has another size, or counts "
    "something else. Is it your own, and is the variant that of your name?"
)
UNHEEDED = {
    "frames": "The simplest frame is not answered as docs/protocols.md has it: make fr/1, and fr/3 "
    "for its byte order, pass first.",
    "later": "A line that is due at once is not answered as docs/protocols.md has it: make later/1 "
    "pass first.",
}

IN_LANGUAGE = {  # where its library has other words for it
    UNWATCHED: {
        "js": "There are unread bytes, and nobody asks for them: the socket is paused (pause(), "
        "pauseOnConnect), or it has no 'data' handler. resume() it, or pipe(); at 'drain', where "
        "it was paused until then.",
    },
}
