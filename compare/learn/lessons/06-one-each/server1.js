// Echo, all clients at once: node server.js HOST PORT
"use strict";
const net = require("node:net");

const [host, port] = process.argv.slice(2);
let current = null; // who is served

function serve(socket) {
  current = socket;
  socket.on("data", (data) => current.write(data));
  socket.on("end", () => socket.end());
}

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {}); // a reset ends this client, and nobody else
  serve(socket);
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
