// Answers each frame of numbers with a frame of their sum: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);

const server = net.createServer((socket) => {
  socket.on("data", (frame) => {
    const length = frame.readUInt32LE(0);
    let sum = 0;
    for (let at = 4; at < 4 + length; at += 4) sum += frame.readInt32LE(at);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(8);
    socket.write(header);
    const body = Buffer.alloc(8);
    body.writeBigInt64LE(BigInt(sum));
    socket.write(body);
  });
});

server.on("error", (error) => {
  console.error(`cannot listen at port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port, backlog: 4096 });
