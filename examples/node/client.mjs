// Enqueues a job and waits for its result; Node 18 or newer, without dependencies.
//
//     OJS_URL=http://127.0.0.1:8080 node examples/node/client.mjs bob@example.com

import { setTimeout as sleep } from "node:timers/promises";

const url = `${process.env.OJS_URL ?? "http://127.0.0.1:8080"}/ojs/v1`;
const key = process.env.OJS_API_KEY;
const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };

async function call(method, path, body) {
  const answer = await fetch(`${url}/${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

const to = process.argv[2] ?? "bob@example.com";
let { job } = await call("POST", "jobs", {
  type: "email.send",
  args: [to],
  options: { queue: "mail", retry: { max_attempts: 5 } },
});
console.log(`enqueued ${job.id}`);
while (!["completed", "discarded", "cancelled"].includes(job.state)) {
  await sleep(200);
  ({ job } = await call("GET", `jobs/${job.id}`));
}
console.log(job.state, JSON.stringify(job.result));
process.exitCode = job.state === "completed" ? 0 : 1;
