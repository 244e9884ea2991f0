// Echo with async and await, over promises that are made of events.
"use strict";
const net = require("node:net");
const { on } = require("node:events");

class Stream {
  constructor(socket) {
    this.socket = socket;
    for (const event of ["readable", "drain", "end", "close"]) {
      socket.on(event, () => this.wake?.());
    }
    socket.on("error", (error) => this.fail?.(error));
  }

  /** Until something has happened; then one looks what. Rejected by an error. */
  event() {
    return new Promise((resolve, reject) => {
      this.wake = resolve;
      this.fail = reject;
    });
  }

  /** What has come; null at the end. */
  async read() {
    for (;;) {
      const data = this.socket.read();
      if (data || this.socket.readableEnded || this.socket.destroyed) return data;
      await this.event();
    }
  }

  /** Until there is room for more. */
  async write(data) {
    this.socket.write(data);
    while (this.socket.writableNeedDrain && !this.socket.destroyed) await this.event();
  }
}

async function echo(socket) {
  const stream = new Stream(socket);
  for (let data; (data = await stream.read()); ) await stream.write(data);
  socket.end();
}

async function main(host, port) {
  const server = net.createServer({ noDelay: true, allowHalfOpen: true });
  server.listen({ host, port, backlog: 4096 });
  for await (const [socket] of on(server, "connection")) {
    echo(socket);
  }
}

const [host, port] = process.argv.slice(2);
main(host, Number(port)).catch((error) => {
  console.error(`port ${port}: ${error.message}`);
  process.exit(1);
});
