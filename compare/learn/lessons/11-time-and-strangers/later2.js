// Lines that are answered when they are due.
"use strict";
const net = require("node:net");

const LINE = /^(\d{1,4}|[0-5]\d{4}|60000) (.{0,1000})$/s;
const LONGEST = 1006;

const server = net.createServer({ noDelay: true }, (socket) => {
  const timers = new Set();
  let unread = "";
  socket.setEncoding("latin1"); // each byte stays what it is
  socket.on("data", (data) => {
    const lines = (unread + data).split("\n");
    unread = lines.pop();
    for (const line of lines) {
      const [, ms, text] = LINE.exec(line) ?? [];
      if (ms === undefined) return socket.destroy();
      const timer = setTimeout(() => {
        timers.delete(timer);
        socket.write(text + "\n", "latin1");
      }, Number(ms));
      timers.add(timer);
    }
    if (unread.length > LONGEST) socket.destroy();
  });
  socket.on("end", () => socket.destroy());
  socket.on("error", () => {}); // a reset is an ordinary end
  socket.on("close", () => timers.forEach(clearTimeout));
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
