// A server of frames that passes every check: `node frames.js PORT`.
"use strict";

const net = require("node:net");

const MOST = 1024 * 1024;
const port = Number(process.argv[2]);

function answer(body) {
  let total = 0n; // a double is exact up to 53 bits only
  for (let at = 0; at < body.length; at += 4) total += BigInt(body.readInt32BE(at));
  const frame = Buffer.alloc(12);
  frame.writeUInt32BE(8);
  frame.writeBigInt64BE(total, 4);
  return frame;
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let pieces = []; // joined only when there are enough of them
  let held = 0;
  let wanted = 4;
  socket.on("data", (data) => {
    pieces.push(data);
    held += data.length;
    if (held < wanted) return;
    let buffer = Buffer.concat(pieces);
    const answers = [];
    for (wanted = 4; buffer.length >= 4; wanted = 4) {
      const length = buffer.readUInt32BE();
      if (length > MOST || length % 4) return socket.destroy();
      wanted = 4 + length;
      if (buffer.length < wanted) break;
      answers.push(answer(buffer.subarray(4, wanted)));
      buffer = buffer.subarray(wanted);
    }
    pieces = [buffer];
    held = buffer.length;
    if (!socket.write(Buffer.concat(answers))) socket.pause();
  });
  socket.on("drain", () => socket.resume());
  socket.on("end", () => socket.end());
  socket.on("error", () => socket.destroy()); // a reset is an ordinary end
});
server.on("error", (error) => {
  console.error(`port ${port} cannot be had: ${error.code}`);
  process.exit(1);
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
