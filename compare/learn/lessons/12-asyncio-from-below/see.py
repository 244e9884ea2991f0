"""Which task waits for what, on the loop of the solution."""

import contextlib
import importlib.util
import linecache
import socket
from pathlib import Path

PATH = Path(__file__).with_name("server3.py")
spec = importlib.util.spec_from_file_location("server3", PATH)
server3 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server3)


class Loop(server3.Loop):
    def turn(self):
        """What is in run(), until nobody can go on."""
        while self.ready or self.waiting.select(0.05):
            while self.ready:
                self.step(self.ready.popleft())
            for key, _ in self.waiting.select(0.05):
                self.waiting.unregister(key.fileobj)
                self.ready.append(key.data)

    def show(self, title):
        print(title)
        rows = []
        for key in self.waiting.get_map().values():
            task, functions = key.data, []
            while task is not None:  # down to where it stands
                functions.append(task.gi_code.co_name)
                line, task = task.gi_frame.f_lineno, task.gi_yieldfrom
            code = linecache.getline(str(PATH), line).strip()
            name = names.get(key.fileobj.getpeername()) if key.fileobj != listener else "listener"
            rows.append(f"  {name:8} {' > '.join(functions):16} line {line}: {code}")
        print(*sorted(rows), sep="\n")


listener = socket.create_server(("127.0.0.1", 0))
loop, names = Loop(), {}
loop.spawn(server3.serve(loop, listener))
loop.turn()
loop.show("Nobody has come:")
ann, bob = (socket.create_connection(listener.getsockname()) for _ in range(2))
names[ann.getsockname()], names[bob.getsockname()] = "Ann", "Bob"
loop.turn()
loop.show("Ann and Bob have come, and are silent:")
bob.setblocking(False)
for _ in range(16):
    with contextlib.suppress(BlockingIOError):
        bob.send(bytes(1_000_000))
    loop.turn()
loop.show("Bob has sent, and does not read:")
ann.close()
loop.turn()
loop.show("Ann has left:")
