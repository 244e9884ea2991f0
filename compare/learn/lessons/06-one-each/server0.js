// Echo, one client after the other: node server.js HOST PORT
"use strict";
const net = require("node:net");

const [host, port] = process.argv.slice(2);
const queue = []; // who waits until the one before has gone
let current = null; // who is served

function serve(socket) {
  current = socket;
  socket.on("data", (data) => current.write(data));
  socket.on("end", () => socket.end());
  socket.on("close", next);
  socket.resume();
}

function next() {
  current = null;
  if (queue.length > 0) serve(queue.shift());
}

const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
  socket.on("error", () => {}); // a reset ends this client, and nobody else
  queue.push(socket);
  if (current === null) next();
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
