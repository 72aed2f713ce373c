// Node's fetch. See ../test_clients.py.
const { URL: base, ROUNDS } = process.env;
const json = { "Content-Type": "application/json" };

async function ask(method, path, body, headers = {}) {
  const response = await fetch(base + path, { method, body, headers });
  const text = await response.text();
  console.log(response.status);
  return text && JSON.parse(text);
}

for (let round = 0; round < Number(ROUNDS); round++) {
  await ask("PUT", "/enqueue?iterations=1", new Uint8Array(0));
  await ask("PUT", "/enqueue?iterations=1", "x");
  await ask("PUT", "/enqueue?iterations=1", new Uint8Array(300_000));
  await ask("PUT", "/enqueue?iterations=1", new Uint8Array(3_000_000));
  const { id } = await ask("POST", "/jobs", JSON.stringify({ function: "noop" }), json);
  await ask("GET", `/jobs/${id}`);
  await ask("GET", "/jobs/nobody");
  await ask("POST", "/pullCompleted?top=1");
}
