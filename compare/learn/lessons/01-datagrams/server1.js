// An echo by datagrams: server.js HOST PORT
"use strict";

const dgram = require("node:dgram");

const [host, port] = process.argv.slice(2);
const sock = dgram.createSocket("udp4");

sock.on("message", (message, sender) => {
  sock.send(message, sender.port, sender.address);
});
sock.bind(Number(port), host);
