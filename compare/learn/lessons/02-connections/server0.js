// An echo over TCP, one message for each client: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);
const server = net.createServer({ allowHalfOpen: true }, (conn) => {
  conn.once("data", (data) => conn.write(data));
});

server.listen({ port: Number(port), host, backlog: 5 });
