// An echo by datagrams: server.js HOST PORT
"use strict";

const dgram = require("node:dgram");

const [host, port] = process.argv.slice(2);
const sock = dgram.createSocket("udp4");

sock.on("message", (message, sender) => {
  if (sender.port === 0) return; // anybody can write that into a header, and nobody be there
  sock.send(message, sender.port, sender.address, () => {}); // one that fails is lost, and no more
});
sock.on("error", (error) => {
  console.error(`cannot have port ${port} at ${host}: ${error.code}`);
  process.exit(1);
});
sock.bind(Number(port), host);
