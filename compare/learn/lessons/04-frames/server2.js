// Answers each frame of numbers with a frame of their sum: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (frame) => {
    const length = frame.readUInt32BE(0);
    let sum = 0;
    for (let at = 4; at < 4 + length; at += 4) sum += frame.readInt32BE(at);
    const answer = Buffer.alloc(12);
    answer.writeUInt32BE(8, 0);
    answer.writeBigInt64BE(BigInt(sum), 4);
    socket.write(answer);
  });
});

server.on("error", (error) => {
  console.error(`cannot listen at port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port, backlog: 4096 });
