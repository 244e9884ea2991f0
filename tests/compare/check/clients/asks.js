// A UDP client of an echo on Node: asks.js HOST PORT
"use strict";

const dgram = require("dgram");
const readline = require("readline");

const [host, port] = process.argv.slice(2);
const FIRST_MS = 500;
const TIMES = 4;
const sock = dgram.createSocket("udp4");
let lost = 0;

function ask(question) {
  return new Promise((resolve) => {
    let attempt = 0;
    let timer;
    const end = (why) => {
      clearTimeout(timer);
      sock.removeAllListeners("message").removeAllListeners("error");
      resolve(why);
    };
    const send = () => {
      if (attempt === TIMES) return end(`${host} ${port} does not answer`);
      sock.send(question);
      timer = setTimeout(send, FIRST_MS * 2 ** attempt++);
    };
    sock.on("error", (error) => end(`${host} ${port}: ${error.message}`));
    sock.on("message", (answer) => {
      if (!answer.equals(question)) return; // late: the answer to another question
      process.stdout.write(`${answer}\n`);
      end("");
    });
    send();
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const why = await ask(Buffer.from(line));
    if (why) {
      console.error(why);
      lost++;
    }
  }
  process.exit(lost ? 1 : 0);
}

// connect(): only the server is heard, and ICMP errors are told
sock.connect(Number(port), host, main);
