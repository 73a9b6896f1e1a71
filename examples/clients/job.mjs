// Has a slow call made as a job, waits, and prints its answer:  [API_KEY=KEY] node job.mjs URL [BODY]
// The functions work in browsers as well as in Node.js 18 or newer, and need nothing else.

const TRIES = 5;
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1000 * count));

// What was lost or refused for now is sent again: by its key it is still one call.
async function send(url, options) {
  for (let tried = 1; ; tried++) {
    try {
      const answer = await fetch(url, options);
      const isForNow = [429, 503].includes(answer.status) && !answer.headers.has("Job-Id");
      if (!isForNow || tried === TRIES) return answer;
    } catch (error) {
      if (tried === TRIES || options.signal?.aborted) throw error;
    }
    await seconds(2 ** tried / 2);
  }
}

// Takes what fetch takes, and returns what fetch would have returned if nobody had to wait.
export async function call(url, options = {}) {
  const asked = { "Prefer": "respond-async, wait=5", "Idempotency-Key": `${Date.now()}-${Math.random()}` };
  let answer = await send(url, { ...options, headers: { ...options.headers, ...asked } });
  if (answer.status !== 202 || answer.headers.has("Job-Id")) return answer; // within those 5 seconds
  const { headers, signal } = options;
  const job = new URL(answer.headers.get("Location"), url);
  for (;;) {
    answer = await send(job, { headers: { ...headers, "Prefer": "wait=20" }, signal });
    if (!answer.ok) return answer;
    const { state, reason, links } = await answer.json();
    if (state === "succeeded") return send(new URL(links.result, url), { headers, signal });
    if (!["queued", "running"].includes(state)) throw new Error(`the job ended as ${reason ?? state}`);
    await seconds(answer.headers.get("Retry-After"));
  }
}

if (globalThis.process?.argv[1]?.endsWith("job.mjs")) {
  const [url, body] = process.argv.slice(2);
  const headers = process.env.API_KEY ? { "X-API-Key": process.env.API_KEY } : {};
  const answer = await call(url, { method: body === undefined ? "GET" : "POST", body, headers });
  console.log(await answer.text());
  process.exitCode = answer.ok ? 0 : 1;
}
