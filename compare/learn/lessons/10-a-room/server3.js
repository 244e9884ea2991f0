// A chat room.
"use strict";
const net = require("node:net");

const LONGEST = 2000; // bytes of a line
const OUTBOX = 128 * 1024; // that we keep for a member who does not read
const members = new Map(); // the name of each socket that has given one

function tell(line, from) {
  for (const socket of members.keys()) {
    if (socket === from) continue;
    socket.write(line);
    if (socket.writableLength > OUTBOX) socket.destroy();
  }
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let name;
  let unread = Buffer.alloc(0); // what has come of a line
  socket.write("Welcome! What is your name?\n");
  socket.on("data", (data) => {
    unread = Buffer.concat([unread, data]);
    for (let at; (at = unread.indexOf("\n")) >= 0 && !socket.destroyed; ) {
      receive(unread.toString("utf8", 0, at).trimEnd());
      unread = unread.subarray(at + 1);
    }
    if (unread.length > LONGEST) socket.destroy();
  });

  function receive(text) {
    if (name) {
      tell(`[${name}] ${text}\n`, socket);
    } else if (/^[a-zA-Z0-9]{1,32}$/.test(text)) {
      name = text;
      socket.write(`* Here are: ${[...members.values()].join(", ")}\n`);
      tell(`* ${name} has come\n`, socket);
      members.set(socket, name);
    } else {
      socket.destroy();
    }
  }

  socket.on("error", () => {}); // a reset is an ordinary end
  socket.on("close", () => {
    if (members.delete(socket)) tell(`* ${name} has left\n`, socket);
  });
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
