// A chat room.
"use strict";
const net = require("node:net");

const members = new Map(); // the name of each socket

function tell(line, from) {
  for (const socket of members.keys()) {
    if (socket === from) continue;
    socket.write(line);
    if (!socket.writableNeedDrain) continue;
    from.pause(); // until it has read
    socket.once("drain", () => from.resume());
  }
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let name;
  let unread = Buffer.alloc(0); // what has come of a line
  members.set(socket, name);
  socket.write("Welcome! What is your name?\n");
  socket.on("data", (data) => {
    unread = Buffer.concat([unread, data]);
    for (let at; (at = unread.indexOf("\n")) >= 0; ) {
      receive(unread.toString("utf8", 0, at).trimEnd());
      unread = unread.subarray(at + 1);
    }
  });

  function receive(text) {
    if (name) {
      tell(`[${name}] ${text}\n`, socket);
      return;
    }
    const others = [...members.values()].filter((other) => other);
    socket.write(`* Here are: ${others.join(", ")}\n`);
    name = text;
    members.set(socket, name);
    tell(`* ${name} has come\n`, socket);
  }

  socket.on("error", () => {}); // a reset is an ordinary end
  socket.on("close", () => {
    members.delete(socket);
    if (name) tell(`* ${name} has left\n`, socket);
  });
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
