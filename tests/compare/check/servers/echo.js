// A TCP echo that passes every check: `node echo.js PORT`. pipe() waits for who does not read, and
// with allowHalfOpen it sends what is pending before it closes.
"use strict";

const net = require("node:net");

const port = Number(process.argv[2]);
const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy()); // a reset is an ordinary end
  socket.pipe(socket);
});
server.on("error", (error) => {
  console.error(`port ${port} cannot be had: ${error.code}`);
  process.exit(1);
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
