// Answers each frame of numbers with a frame of their sum: server.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);

const server = net.createServer({ noDelay: true }, (socket) => {
  let came = Buffer.alloc(0);
  socket.on("data", (data) => {
    came = Buffer.concat([came, data]);
    while (came.length >= 4) {
      const length = came.readUInt32BE(0);
      if (came.length < 4 + length) break;
      let sum = 0;
      for (let at = 4; at < 4 + length; at += 4) sum += came.readInt32BE(at);
      came = came.subarray(4 + length);
      const answer = Buffer.alloc(12);
      answer.writeUInt32BE(8, 0);
      answer.writeBigInt64BE(BigInt(sum), 4);
      socket.write(answer);
    }
  });
});

server.on("error", (error) => {
  console.error(`cannot listen at port ${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host, port, backlog: 4096 });
