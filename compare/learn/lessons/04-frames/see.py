"""Where the bytes of a number lie, and how long somebody waits who has them the other way round."""

import socket
import struct
import sys

five = struct.pack(">I", 5)
print(f"this machine is {sys.byteorder}-endian: it keeps 5 as   {struct.pack('=I', 5).hex(' ')}")
print(f"the network's order, struct.pack('>I', 5):     {five.hex(' ')}")
print(f"htonl(5) here:                                 {socket.htonl(5):,}")
print()
print(f"{five.hex(' ')} read by '>I':  {struct.unpack('>I', five)[0]:>10,}")
print(f"{five.hex(' ')} read by '<I':  {struct.unpack('<I', five)[0]:>10,}")
print()
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with client, server:
        server.settimeout(0.5)
        client.sendall(five + b"apple")
        (length,) = struct.unpack("<I", server.recv(4, socket.MSG_WAITALL))
        print(f"a client sends 5 and 'apple'; a server that reads '<I' wants {length:,} bytes:")
        came = b""
        try:
            while len(came) < length:
                came += server.recv(length - len(came))
        except TimeoutError:
            print(f"{len(came)} came, then nothing for 0.5 s: it waits, and so does the client")
print()
ten = struct.pack(">2I", 10, 7)
print(f"10 and 7 are        {ten.hex(' ')}")
print(f"split at '\\n' (0a)  {'  |  '.join(part.hex(' ') for part in ten.split(bytes([10])))}")
