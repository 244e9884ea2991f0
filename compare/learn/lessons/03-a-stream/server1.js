// An echo over TCP: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);
const server = net.createServer({ allowHalfOpen: true }, (conn) => {
  conn.on("data", (data) => {
    if (data.toString().trim() === "quit") conn.end();
    else conn.write(data);
  });
  conn.on("end", () => conn.end());
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ port: Number(port), host, backlog: 4096 });
