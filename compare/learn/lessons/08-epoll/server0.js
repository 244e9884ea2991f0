// Echo that reads when there is something, and when there is room: node server.js HOST PORT
"use strict";
const net = require("node:net");

const [host, port] = process.argv.slice(2);

function serve(socket) {
  if (socket.writableNeedDrain) {
    setImmediate(serve, socket); // what was written has not gone yet: ask again
    return;
  }
  const data = socket.read();
  if (data !== null) socket.write(data);
}

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("readable", () => serve(socket));
  socket.on("end", () => socket.end());
  socket.on("error", () => {}); // a reset ends this client, and nobody else
});

server.on("error", (error) => {
  console.error(`cannot listen at ${host} port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port: Number(port), backlog: 4096 });
