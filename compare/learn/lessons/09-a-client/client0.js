// Sends what is typed and shows what comes: client.js HOST PORT
"use strict";

const net = require("node:net");
const readline = require("node:readline/promises");

const [host, port] = process.argv.slice(2);

async function talk() {
  const server = net.connect({ host, port });
  server.on("data", (data) => console.log(data.toString()));
  const keyboard = readline.createInterface({ input: process.stdin });
  keyboard.on("close", () => process.exit());
  for (;;) server.write((await keyboard.question("")) + "\n");
}

talk();
