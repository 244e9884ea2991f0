// Echo that asks everybody in turn: node server.js HOST PORT
"use strict";
const net = require("node:net");

const [host, port] = process.argv.slice(2);
const sockets = new Set();

function ask() {
  for (const socket of sockets) {
    const data = socket.read(); // null: nothing has come
    if (data !== null) socket.write(data);
  }
  setImmediate(ask);
}

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  sockets.add(socket);
  socket.on("end", () => socket.end());
  socket.on("error", () => {}); // a reset ends this client, and nobody else
  socket.on("close", () => sockets.delete(socket));
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
ask();
