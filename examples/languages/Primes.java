// CPU-heavy work as an HTTP service in Java: how many primes are below a number.
//
// Run: java examples/languages/Primes.java 8093

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.BitSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Primes {
    private static final Pattern BODY = Pattern.compile("\\s*\\{\\s*\"below\"\\s*:\\s*(\\d{1,9})\\s*\\}\\s*");

    public static void main(String[] arguments) throws IOException {
        int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 8093;
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", Primes::handle);
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        Matcher body = BODY.matcher(new String(exchange.getRequestBody().readAllBytes(), "UTF-8"));
        boolean valid = body.matches();
        String text = valid
            ? "{\"language\": \"Java\", \"primes\": " + countPrimes(Integer.parseInt(body.group(1))) + "}"
            : "{\"error\": \"the body must be {\\\"below\\\": NUMBER}\"}";
        byte[] answer = text.getBytes("UTF-8");
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(valid ? 200 : 400, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
    }

    private static int countPrimes(int below) {
        BitSet composite = new BitSet(Math.max(below, 2));
        int count = 0;
        for (int number = 2; number < below; number++) {
            if (composite.get(number)) {
                continue;
            }
            count++;
            for (long multiple = (long) number * number; multiple < below; multiple += number) {
                composite.set((int) multiple);
            }
        }
        return count;
    }
}
