import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A right chat room in its own words, a thread each: `java Room.java PORT`. */
public class Room {
    private static final Map<BufferedWriter, String> members = new LinkedHashMap<>();

    public static void main(String[] words) throws IOException {
        int port = Integer.parseInt(words[0]);
        try (ServerSocket listener = new ServerSocket(port, 50, InetAddress.getLoopbackAddress())) {
            while (true) {
                Socket socket = listener.accept();
                new Thread(() -> serve(socket)).start();
            }
        } catch (IOException error) {
            System.err.println("cannot listen at port " + port + ": " + error.getMessage());
            System.exit(1);
        }
    }

    private static void serve(Socket socket) {
        BufferedWriter me = null;
        try (socket) {
            var charset = StandardCharsets.ISO_8859_1;
            var reader = new BufferedReader(new InputStreamReader(socket.getInputStream(), charset));
            me = new BufferedWriter(new OutputStreamWriter(socket.getOutputStream(), charset));
            tell(me, "Hi. Your name?");
            String name = line(reader);
            if (name == null || !name.matches("[A-Za-z0-9]{1,30}")) {
                tell(me, "That will not do.");
                return;
            }
            synchronized (members) {
                tell(me, "*** here: " + members.values());
                tellOthers(me, "*** " + name + " joined us");
                members.put(me, name);
            }
            for (String text = line(reader); text != null; text = line(reader)) {
                synchronized (members) {
                    tellOthers(me, "[" + name + "] " + text);
                }
            }
        } catch (IOException error) {
            // A reset is an ordinary end.
        } finally {
            synchronized (members) {
                String name = members.remove(me);
                if (name != null) {
                    tellOthers(me, "*** " + name + " is no longer with us");
                }
            }
        }
    }

    /** Without its end; null where the connection ends before that. */
    private static String line(BufferedReader reader) throws IOException {
        var line = new StringBuilder();
        for (int next = reader.read(); next >= 0; next = reader.read()) {
            if (next == '\n') {
                return line.toString().stripTrailing();
            }
            line.append((char) next);
        }
        return null;
    }

    private static void tell(BufferedWriter writer, String line) throws IOException {
        writer.write(line + "\n");
        writer.flush();
    }

    private static void tellOthers(BufferedWriter me, String line) {
        for (BufferedWriter member : members.keySet()) {
            try {
                if (member != me) {
                    tell(member, line);
                }
            } catch (IOException error) {
                // Its own thread hears of it.
            }
        }
    }
}
