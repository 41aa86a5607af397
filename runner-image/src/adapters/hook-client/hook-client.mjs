// Carries one hook call of a CLI to the runner and its answer back. All CLIs run a tool when their hook fails in any other way than exit code 2,
// so whatever is not an explicit answer of the runner ends with the code given on the command line: 2 where that blocks.
// While the runner restarts nobody listens, or a connection ends without a word: then the same request is asked again, under the same id, so
// that the call is held and neither allowed nor denied. Only the deadline ends that.
// Plain JavaScript with node:net alone, because a CLI waits for its start before every tool.
// usage: node hook-client.mjs <socket> <exit code on failure> <deadline in ms> <largest request in bytes>
import { connect } from 'node:net';

const RETRY_MS = 100;
const TICK_MS = 250;

const [socketPath, failCodeText, deadlineText, maxBytesText] = process.argv.slice(2);
const failCode = failCodeText === '1' ? 1 : 2;
const id = globalThis.crypto.randomUUID();

const fail = (reason) => {
  process.stderr.write(`agent-village gate: ${reason}\n`, () => process.exit(failCode));
};
process.on('uncaughtException', () => process.exit(failCode));
for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']) process.on(signal, () => process.exit(failCode));

const deadlineMs = Number(deadlineText);
const maxBytes = Number(maxBytesText);
if (!socketPath || !(deadlineMs > 0) || !(maxBytes > 0)) fail('called without its arguments');
else {
  countDown(deadlineMs);
  run();
}

// Counted in ticks and not by a clock: a session that was frozen for an hour has waited one tick.
function countDown(leftMs) {
  if (leftMs <= 0) fail('still waiting for a decision; repeat the call');
  else setTimeout(() => countDown(leftMs - TICK_MS), Math.min(TICK_MS, leftMs));
}

function run() {
  const chunks = [];
  let sizeBytes = 0;
  process.stdin.on('error', () => fail('the request could not be read'));
  process.stdin.on('data', (chunk) => {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) fail('the request is too large');
    else chunks.push(chunk);
  });
  process.stdin.on('end', () => ask(Buffer.concat(chunks)));
}

function ask(request) {
  const socket = connect(socketPath);
  let answer = '';
  socket.setEncoding('utf8');
  // Every error is followed by `close`.
  socket.on('error', () => {});
  // The request's own newlines are white space in JSON; one after it ends the message without closing our side, which would read as a cancel.
  socket.on('connect', () => socket.write(Buffer.concat([Buffer.from(`${request.length} ${id}\n`), request])));
  socket.on('data', (text) => {
    answer += text;
  });
  socket.on('close', () => {
    if (answer === '') setTimeout(() => ask(request), RETRY_MS);
    else finish(answer);
  });
}

function finish(answer) {
  let reply;
  try {
    reply = JSON.parse(answer);
  } catch {
    fail('the answer of the runner cannot be read');
    return;
  }
  if (reply === null || reply.v !== 1) fail('the answer of the runner does not fit');
  else if (typeof reply.refused === 'string') fail(reply.refused);
  else if (typeof reply.stdout === 'string') process.stdout.write(reply.stdout, () => process.exit(0));
  else fail('the answer of the runner does not fit');
}
