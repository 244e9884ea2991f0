// Echo.
"use strict";
const net = require("node:net");

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on("data", (data) => {
    if (!socket.write(data)) socket.pause();
  });
  socket.on("drain", () => socket.resume());
  socket.on("end", () => socket.end());
  socket.on("error", () => {}); // a reset is an ordinary end
});

const [host, port] = process.argv.slice(2);
server.on("error", (error) => {
  console.error(`port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
