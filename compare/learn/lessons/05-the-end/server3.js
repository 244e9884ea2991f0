// Sends back what comes: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);
const sockets = new Set();

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.destroy()); // a reset is an ordinary end
  socket.on("data", (data) => socket.write(data));
  socket.on("end", () => socket.end());
});

server.on("error", (error) => {
  console.error(`cannot listen at port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port, backlog: 4096 });
process.on("SIGTERM", () => {
  server.close();
  for (const socket of sockets) socket.destroySoon(); // when all is written
  setTimeout(() => process.exit(), 2000).unref(); // whoever does not read
});
