// Asks an echo by datagrams: client.js HOST PORT; types a line, gets its answer.
"use strict";

const dgram = require("node:dgram");
const readline = require("node:readline");

const [host, port] = process.argv.slice(2);
const WAITS = [100, 200, 400, 800, 1600, 3200]; // ms, each twice the one before
const sock = dgram.createSocket("udp4");

function ask(question) {
  return new Promise((resolve) => {
    const waits = [...WAITS];
    let timer;
    const end = (answer) => {
      clearTimeout(timer);
      sock.removeAllListeners("message");
      resolve(answer);
    };
    const send = () => {
      if (!waits.length) return end("");
      sock.send(question, Number(port), host);
      timer = setTimeout(send, waits.shift());
    };
    sock.on("message", (answer) => {
      end(answer);
    });
    send();
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(`${await ask(line)}`);
  }
  sock.close();
}

main();
