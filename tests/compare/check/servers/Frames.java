// A server of frames that passes every check, a thread for each connection: java Frames PORT
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;

class Frames {
    static final int MOST = 1024 * 1024;

    public static void main(String[] args) {
        int port = Integer.parseInt(args[0]);
        try (ServerSocket listener =
                new ServerSocket(port, 4096, InetAddress.getLoopbackAddress())) {
            while (true) {
                Socket client = listener.accept();
                new Thread(() -> serve(client)).start();
            }
        } catch (IOException error) {
            System.err.println("port " + port + " cannot be had: " + error.getMessage());
            System.exit(1);
        }
    }

    static void serve(Socket client) {
        try (client) {
            client.setTcpNoDelay(true);
            DataInputStream in =
                    new DataInputStream(new BufferedInputStream(client.getInputStream()));
            while (true) {
                int length = in.readInt(); // negative from 2 GiB on
                if (length < 0 || length > MOST || length % 4 != 0) return;
                ByteBuffer body = ByteBuffer.wrap(in.readNBytes(length)); // big-endian
                if (body.remaining() < length) return;
                long total = 0;
                while (body.hasRemaining()) total += body.getInt();
                ByteBuffer answer = ByteBuffer.allocate(12).putInt(8).putLong(total);
                client.getOutputStream().write(answer.array());
            }
        } catch (IOException ended) {
            // its end, or a reset: an ordinary end
        }
    }
}
