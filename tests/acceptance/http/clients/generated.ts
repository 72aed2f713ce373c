// Uses a client whose types are generated from the manager's OpenAPI document. It is compiled strictly, so that a wrong
// name or field is an error.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

const client = createClient<paths>({ baseUrl: process.env.URL! });
const job: components["schemas"]["Submission"] = {
  function: "noop",
  kwargs: { seconds: 0 },
  labels: { order: "42" },
};
const submitted = await client.POST("/jobs", { body: job });
if (!submitted.data) throw new Error(submitted.error.detail);
const id: string = submitted.data.id;

const shown = await client.GET("/jobs/{job_id}", { params: { path: { job_id: id }, query: { wait: 0 } } });
const missing = await client.GET("/jobs/{job_id}", { params: { path: { job_id: "missing" } } });
const canceled = await client.POST("/jobs/{job_id}/cancel", { params: { path: { job_id: id } } });
const pulled = await client.POST("/pullCompleted", { params: { query: { top: 1 } } });
const refused = await client.POST("/jobs", { body: { function: "noop", timeout: -1 } });
console.log(
  submitted.response.status,
  shown.data?.id === id && shown.data.function,
  missing.error?.status,
  canceled.data?.status,
  JSON.stringify(pulled.data),
  refused.error?.errors?.[0]?.field,
);
