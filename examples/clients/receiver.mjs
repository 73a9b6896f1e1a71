// Hears of jobs that have ended, and believes what is signed:  SECRET=whsec_... node receiver.mjs PORT
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE = 300; // seconds: an older message may be somebody's copy
const seen = new Set(); // the same end may be told twice, so yours is in a database

// Whether a message was signed with this secret, as Standard Webhooks has it.
function isSigned(secret, head, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": given = "" } = head;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE)) return false;
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  const isIt = (one) => one.length === expected.length && timingSafeEqual(one, expected);
  return given.split(" ").some((one) => isIt(Buffer.from(one)));
}

createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  if (!isSigned(process.env.SECRET, request.headers, body)) return response.writeHead(401).end();
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    const job = JSON.parse(body).data;
    console.log(job.id, job.state, job.status ?? job.reason);
  }
  response.writeHead(204).end(); // the gateway comes again after anything else
}).listen(Number(process.argv[2]), "127.0.0.1");
