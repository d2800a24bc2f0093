// A worker for ojs-serverless in Node 18 or newer, without dependencies.
//
//     OJS_URL=http://127.0.0.1:8080 node examples/node/worker.mjs
//
// It fetches jobs of the queue `mail`, ten at a time, runs them at once, keeps their leases while it works, and reports how
// they ended. With OJS_MAX_JOBS=N it ends after N jobs; SIGINT and SIGTERM end it after the jobs at hand.

import { setTimeout as sleep } from "node:timers/promises";

const url = `${process.env.OJS_URL ?? "http://127.0.0.1:8080"}/ojs/v1`;
const key = process.env.OJS_API_KEY;
const workerId = `node-${process.pid}`;
const HEARTBEAT_MS = 60_000;

// The work: what a handler returns is the job's result, what it throws its error.
const handlers = {
  "email.send": async (to) => {
    console.log(`email to ${to}`);
    return { sent: true };
  },
};

// A POST to the API, repeated while it cannot be reached or asks to come back later. A 409 is null: the job is lost.
async function post(path, body) {
  const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
  for (;;) {
    let answer;
    try {
      answer = await fetch(`${url}/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    } catch {
      await sleep(1_000);
      continue;
    }
    if (answer.ok) return answer.json();
    if (answer.status === 409) return null;
    if (answer.status !== 429 && answer.status !== 503) throw new Error(`${answer.status} ${await answer.text()}`);
    await sleep(1_000 * Number(answer.headers.get("Retry-After") ?? 1));
  }
}

// Runs a job and reports its end. The lease token makes a repeated report harmless, and a late one ineffective.
async function work(job) {
  const lease = { job_id: job.id, lease_token: job.lease_token };
  const tokens = { [job.id]: job.lease_token };
  const heartbeat = () => post("workers/heartbeat", { worker_id: workerId, active_jobs: [job.id], lease_tokens: tokens });
  const timer = setInterval(() => heartbeat().catch(console.error), HEARTBEAT_MS);
  try {
    const result = await handlers[job.type](...job.args);
    await post("workers/ack", { ...lease, result });
  } catch (error) {
    await post("workers/nack", { ...lease, error: { code: error.name, message: error.message } });
  } finally {
    clearInterval(timer);
  }
}

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopping = true));
let left = Number(process.env.OJS_MAX_JOBS ?? 0) || Infinity;
while (left > 0 && !stopping) {
  const count = Math.min(10, left);
  const { jobs } = await post("workers/fetch", { queues: ["mail"], count, worker_id: workerId });
  await Promise.all(jobs.map(work));
  left -= jobs.length;
  if (jobs.length === 0) await sleep(500);
}
