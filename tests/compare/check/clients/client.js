// A TCP client on Node's streams: client.js HOST PORT
"use strict";

const net = require("net");

const [host, port] = process.argv.slice(2);
const CONNECT_MS = 2000;
let typing = true;

function fail(words) {
  console.error(words);
  process.exit(1);
}

const sock = net.connect({ host, port, allowHalfOpen: true });
const timer = setTimeout(() => fail(`no answer from ${host} ${port}`), CONNECT_MS);
sock.on("connect", () => clearTimeout(timer));
sock.on("error", (error) => fail(`${host} ${port}: ${error.message}`));
sock.on("data", (data) => process.stdout.write(data)); // bytes: no character is cut
sock.on("end", () => (typing ? fail(`${host} ${port} has closed`) : process.exit(0)));
// pipe() reads no more from the keyboard than the socket takes, and half-closes at the end.
process.stdin.on("end", () => (typing = false)).pipe(sock);
