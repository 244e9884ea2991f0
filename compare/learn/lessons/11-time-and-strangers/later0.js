// Lines that are answered later.
"use strict";
const net = require("node:net");
const { setTimeout: sleep } = require("node:timers/promises");

const LINE = /^(\d{1,5}) (.*)$/s;
const LONGEST = 1006;

const server = net.createServer({ noDelay: true }, (socket) => {
  let unread = "";
  socket.setEncoding("latin1"); // each byte stays what it is
  socket.on("data", async (data) => {
    const lines = (unread + data).split("\n");
    unread = lines.pop();
    for (const line of lines) {
      const [, ms, text] = LINE.exec(line) ?? [];
      if (ms === undefined) return socket.destroy();
      await sleep(Number(ms));
      socket.write(text + "\n", "latin1");
    }
    if (unread.length > LONGEST) socket.destroy();
  });
  socket.on("end", () => socket.destroy());
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
