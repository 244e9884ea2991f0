// Asks an echo by datagrams: client.js HOST PORT; types a line, gets its answer.
"use strict";

const dgram = require("node:dgram");
const readline = require("node:readline");

const [host, port] = process.argv.slice(2);
const sock = dgram.createSocket("udp4");

function ask(question) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), 1000);
    sock.once("message", (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    sock.send(question, Number(port), host);
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(`${await ask(line)}`);
  }
  sock.close();
}

main();
