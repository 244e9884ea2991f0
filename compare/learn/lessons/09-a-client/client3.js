// Sends what is typed and shows what comes: client.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);
let typing = true;

function fail(why) {
  console.error(`${host} ${port}: ${why}`);
  process.exit(1);
}

const server = net.connect({ host, port });
server.on("error", (error) => fail(error.code));
server.on("data", (data) => process.stdout.write(data));
server.on("end", () => (typing ? fail("has closed the connection") : process.exit()));
process.stdin.on("data", (data) => server.write(data));
process.stdin.on("end", () => {
  typing = false;
  server.end();
});
