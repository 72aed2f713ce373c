// Java's HttpClient. Unless told otherwise, it offers h2c with its first requests. See ../test_clients.py.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

class Client {
    static HttpClient client;

    public static void main(String[] arguments) throws Exception {
        for (int round = 0; round < Integer.parseInt(System.getenv("ROUNDS")); round++) {
            // A new client has new connections, which it begins with an offer.
            var builder = HttpClient.newBuilder();
            client = (arguments.length == 0 ? builder : builder.version(HttpClient.Version.valueOf(arguments[0]))).build();
            ask("PUT", "/enqueue?iterations=1", BodyPublishers.noBody());
            ask("PUT", "/enqueue?iterations=1", BodyPublishers.ofString("x"));
            ask("PUT", "/enqueue?iterations=1", BodyPublishers.ofByteArray(new byte[300_000]));
            ask("PUT", "/enqueue?iterations=1", BodyPublishers.ofByteArray(new byte[3_000_000]));
            var job = ask("POST", "/jobs", BodyPublishers.ofString("{\"function\": \"noop\"}"));
            ask("GET", "/jobs/" + job.split("\"")[3], BodyPublishers.noBody());
            ask("GET", "/jobs/nobody", BodyPublishers.noBody());
            ask("POST", "/pullCompleted?top=1", BodyPublishers.noBody());
        }
    }

    static String ask(String method, String path, BodyPublisher body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("URL") + path)).method(method, body);
        request.header("Content-Type", "application/json");
        var response = client.send(request.build(), BodyHandlers.ofString());
        System.out.println(response.statusCode());
        return response.body();
    }
}
