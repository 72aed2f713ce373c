// Verifies the callbacks that stand on standard input, as a receiver in JavaScript does.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers);
  } catch (error) {
    return error.constructor.name;
  }
});
console.log(JSON.stringify(answers));
