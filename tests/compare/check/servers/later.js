// A server that answers later and passes every check: `node later.js PORT`.
"use strict";

const net = require("node:net");

const LINE = /^(\d{1,5}) (.{0,1000})$/s;
const LONGEST_MS = 60000;
const port = Number(process.argv[2]);

const server = net.createServer({ noDelay: true }, (socket) => {
  const timers = new Set();
  let unread = "";
  socket.setEncoding("latin1"); // each byte stays what it is
  socket.on("data", (data) => {
    const lines = (unread + data).split("\n");
    unread = lines.pop();
    for (const line of lines) {
      const [, ms, text] = LINE.exec(line) ?? [];
      if (ms === undefined || Number(ms) > LONGEST_MS) return socket.destroy();
      const timer = setTimeout(() => {
        timers.delete(timer);
        socket.write(`${text}\n`, "latin1");
      }, Number(ms));
      timers.add(timer);
    }
    if (unread.length > 1006) socket.destroy();
  });
  socket.on("end", () => socket.destroy());
  socket.on("error", () => socket.destroy()); // a reset is an ordinary end
  socket.on("close", () => timers.forEach(clearTimeout));
});
server.on("error", (error) => {
  console.error(`port ${port} cannot be had: ${error.code}`);
  process.exit(1);
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
