"use strict";
// Shows the API, after asking for a key if the manager needs one. The key is kept as long as the page is open.

const form = document.getElementById("key-form");

async function show(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch("openapi.json", { headers });
  form.hidden = response.status !== 401;
  if (response.status === 401) {
    if (key) document.getElementById("key-message").textContent = "This is not a key of this manager.";
    return;
  }
  const spec = await response.json();
  // Requests go to where this page is from, whatever prefix a proxy has put in front of its path.
  spec.servers = [{ url: new URL(".", location.href).pathname.replace(/\/$/, "") || "/" }];
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    onComplete: () => key && ui.preauthorizeApiKey("key", key),
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("key").value);
});

show("");
