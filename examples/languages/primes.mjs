// CPU-heavy work as an HTTP service in JavaScript: how many primes are below a number.
//
// Run: node examples/languages/primes.mjs 8092
import { createServer } from "node:http";

function countPrimes(below) {
  const composite = new Uint8Array(Math.max(below, 2));
  let count = 0;
  for (let number = 2; number < below; number++) {
    if (composite[number]) continue;
    count++;
    for (let multiple = number * number; multiple < below; multiple += number) composite[multiple] = 1;
  }
  return count;
}

function answer(text) {
  const { below } = JSON.parse(text);
  if (!Number.isSafeInteger(below)) throw new TypeError("below must be a whole number");
  return { language: "JavaScript", primes: countPrimes(below) };
}

createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  let [status, body] = [200, {}];
  try {
    body = answer(text);
  } catch (error) {
    [status, body] = [400, { error: String(error) }];
  }
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}).listen(Number(process.argv[2] ?? 8092), "127.0.0.1");
