// A server that answers later and passes every check: java Later PORT
// A thread reads from each connection; one for all of them writes what is due.
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

class Later {
    static final int LONGEST_MS = 60_000, LONGEST = 1000;
    static final ScheduledThreadPoolExecutor clock = new ScheduledThreadPoolExecutor(1);

    public static void main(String[] args) {
        int port = Integer.parseInt(args[0]);
        clock.setRemoveOnCancelPolicy(true); // else a cancelled timer is kept until it is due
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
        Set<Future<?>> timers = ConcurrentHashMap.newKeySet();
        int most = 100; // of them before those that are done are taken out
        try (client) {
            client.setTcpNoDelay(true);
            InputStream in = new BufferedInputStream(client.getInputStream());
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int each; (each = in.read()) >= 0; ) {
                if (each != '\n') {
                    line.write(each);
                    if (line.size() > LONGEST + 6) return;
                    continue;
                }
                String[] parts = line.toString(StandardCharsets.ISO_8859_1).split(" ", 2);
                if (parts.length < 2 || !parts[0].matches("[0-9]{1,5}")) return;
                int ms = Integer.parseInt(parts[0]);
                if (ms > LONGEST_MS || parts[1].length() > LONGEST) return;
                byte[] text = (parts[1] + "\n").getBytes(StandardCharsets.ISO_8859_1);
                if (timers.size() > most) {
                    timers.removeIf(Future::isDone);
                    most = 100 + 2 * timers.size();
                }
                timers.add(clock.schedule(() -> say(client, text), ms, TimeUnit.MILLISECONDS));
                line.reset();
            }
        } catch (IOException ended) {
            // a reset: an ordinary end
        } finally {
            timers.forEach(timer -> timer.cancel(false));
        }
    }

    static void say(Socket client, byte[] text) {
        try {
            client.getOutputStream().write(text);
        } catch (IOException gone) {
            // whoever reads from it notices, too
        }
    }
}
