// A right chat room in its own words: `node room.js PORT`. Names are refused with a word and
// end(); two may have the same; what is not ASCII ends its sender.
"use strict";
const net = require("node:net");

const members = new Set();

function tellOthers(me, line) {
  for (const member of members) if (member !== me) member.write(line + "\n");
}

const server = net.createServer((socket) => {
  let rest = "";
  let ended = false;
  socket.setEncoding("latin1");
  socket.write("Who goes there?\n");

  function leave() {
    ended = true;
    if (members.delete(socket)) tellOthers(socket, `* <<< ${socket.called}`);
  }

  function receive(line) {
    if (!socket.called) {
      const name = line.trimEnd();
      if (!/^[a-zA-Z0-9]{1,64}$/.test(name)) {
        ended = true;
        socket.end("A name is made of letters and digits.\n");
        return;
      }
      socket.write("* online: " + [...members].map((member) => member.called).join(" | ") + "\n");
      tellOthers(socket, `* >>> ${name}`);
      socket.called = name;
      members.add(socket);
    } else if (/[^\x20-\x7e\r]/.test(line)) {
      leave();
      socket.destroy();
    } else {
      tellOthers(socket, `[${socket.called}] ${line}`);
    }
  }

  socket.on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (const line of lines) if (!ended) receive(line);
  });
  socket.on("error", () => {});
  socket.on("close", leave);
});

server.on("error", (error) => {
  console.error(`cannot listen at port ${process.argv[2]}: ${error.code}`);
  process.exit(1);
});
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
