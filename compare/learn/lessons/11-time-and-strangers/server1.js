// Echo, which says for how long it waits.
"use strict";
const net = require("node:net");

const IDLE_MS = 2000; // in which nothing comes; short, for the lesson
const WRITE_MS = 2000; // in which nothing is read

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.setTimeout(IDLE_MS);
  socket.on("data", (data) => {
    if (socket.write(data)) return;
    socket.pause();
    socket.setTimeout(WRITE_MS);
  });
  socket.on("drain", () => {
    socket.resume();
    socket.setTimeout(IDLE_MS);
  });
  socket.on("timeout", () => {
    if (socket.writableLength) socket.resetAndDestroy(); // what is not sent is dropped
    else socket.destroy();
  });
  socket.on("end", () => socket.end());
  socket.on("error", () => {}); // a reset is an ordinary end
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
