// Echo that is told what has come: node server.js HOST PORT
"use strict";
const net = require("node:net");

const [host, port] = process.argv.slice(2);
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("end", () => socket.end());
  socket.on("error", () => {}); // a reset ends this client, and nobody else
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
