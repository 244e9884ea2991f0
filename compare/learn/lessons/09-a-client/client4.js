// Sends what is typed and shows what comes: client.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);
const CONNECT_MS = 3000;
let typing = true;

function fail(why) {
  console.error(`${host} ${port}: ${why}`);
  process.exit(1);
}

const server = net.connect({ host, port });
const timer = setTimeout(() => fail("does not answer"), CONNECT_MS);
server.on("connect", () => clearTimeout(timer));
server.on("error", (error) => fail(error.code));
server.on("data", (data) => process.stdout.write(data));
server.on("end", () => (typing ? fail("has closed the connection") : process.exit()));
process.stdin.on("end", () => (typing = false));
process.stdin.pipe(server); // reads no more than the socket takes, and ends it at the end
