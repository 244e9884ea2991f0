// Sends what is typed and shows what comes: client.js HOST PORT
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);

const server = net.connect({ host, port });
server.on("data", (data) => process.stdout.write(data));
process.stdin.on("data", (data) => server.write(data));
process.stdin.on("end", () => process.exit());
