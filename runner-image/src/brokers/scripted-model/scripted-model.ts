/** A model that follows a script: it drives a real CLI through the Messages API without a key, the same way every time. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Clock, sleep } from '../../../../shared/clock.ts';
import { MODEL_REQUEST_MAX_BYTES } from '../../../../shared/limits.ts';
import type { Scenario } from '../../../../shared/scenario.ts';
import {
  carriesKey,
  closeServer,
  listenOnLoopback,
  readBody,
  sendHeld,
  sendJson,
  sendModelError,
} from '../loopback-http.ts';
import {
  type AnswerMessage,
  inputTokensOf,
  type ModelUsage,
  messageJson,
  messageOf,
  messageStream,
} from './answer-wire.ts';
import { MessagesRequest, positionOf } from './conversation.ts';
import { type Answer, nextAnswer, SIDE_CALL_TEXT } from './next-answer.ts';

export interface ScriptedModelOptions {
  readonly scenario: Scenario;
  /** Absolute path that the scenario's paths are relative to. */
  readonly workspace: string;
  /** The session's dummy key; a request without it gets 401. */
  readonly key: string;
  readonly clock: Clock;
  /** The port of a runner process before this one, whose CLI still calls there. */
  readonly port?: number;
  /** Turns that were played before; where the script stands every request says itself. */
  readonly turnsDone?: number;
  /** Called before the answer that ends a turn is complete: a crash in between plays it again, and forgets nothing. */
  readonly onTurnDone?: (turnsDone: number) => void;
  /** While this is true no call is answered. */
  readonly isHeld?: () => boolean;
  /** Told once for each answer that was sent whole; side calls included. */
  readonly onUsage?: (usage: ModelUsage) => void;
}

export interface ScriptedProgress {
  readonly turnsDone: number;
  readonly turnsTotal: number;
  /** Every turn has been played to its end. */
  readonly exhausted: boolean;
}

export interface ScriptedModel {
  /** `http://127.0.0.1:<port>`, for ANTHROPIC_BASE_URL. */
  readonly url: string;
  progress(): ScriptedProgress;
  stop(): Promise<void>;
}

/** The longest silence within a stream: CLIs give a silent stream up. */
const KEEP_ALIVE_MS = 10_000;

interface Served {
  readonly options: ScriptedModelOptions;
  turnsDone: number;
}

/** A call without tools asks for a title or the like: it gets a harmless answer and is no step of the script. */
function answerFor(request: MessagesRequest, options: ScriptedModelOptions): Answer {
  if ((request.tools ?? []).length === 0) {
    const asksForJson = JSON.stringify(request.output_config ?? '').includes('json_schema');
    const text = asksForJson ? JSON.stringify({ title: SIDE_CALL_TEXT }) : SIDE_CALL_TEXT;
    return { parts: [{ kind: 'text', text }], finishesTurn: undefined };
  }
  return nextAnswer(options.scenario, options.workspace, positionOf(request.messages));
}

interface Telling {
  readonly clock: Clock;
  readonly gone: AbortSignal;
  /** To be called before the last piece. */
  readonly onLast: () => void;
}

async function stream(response: ServerResponse, message: AnswerMessage, telling: Telling): Promise<void> {
  const { clock, gone, onLast } = telling;
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const write = (event: string, data: object) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const items = [...messageStream(message)];
  for (const [index, item] of items.entries()) {
    if (index === items.length - 1) onLast();
    if ('event' in item) {
      write(item.event, item.data);
      continue;
    }
    for (let leftMs = item.waitMs; leftMs > 0; leftMs -= KEEP_ALIVE_MS) {
      await sleep(clock, Math.min(leftMs, KEEP_ALIVE_MS), gone);
      if (leftMs > KEEP_ALIVE_MS) write('ping', { type: 'ping' });
    }
  }
}

async function sendWhole(response: ServerResponse, message: AnswerMessage, telling: Telling): Promise<void> {
  for (const block of message.blocks) if (block.kind === 'wait') await sleep(telling.clock, block.waitMs, telling.gone);
  telling.onLast();
  sendJson(response, messageJson(message));
}

async function answerMessages(served: Served, request: MessagesRequest, response: ServerResponse): Promise<void> {
  const { clock, onUsage, onTurnDone } = served.options;
  const answer = answerFor(request, served.options);
  const message = messageOf(request, answer);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.once('finish', () => onUsage?.(message.usage));
  const onLast = (): void => {
    if (answer.finishesTurn === undefined || gone.signal.aborted || answer.finishesTurn < served.turnsDone) return;
    served.turnsDone = answer.finishesTurn + 1;
    onTurnDone?.(served.turnsDone);
  };
  const telling = { clock, gone: gone.signal, onLast };
  try {
    if (request.stream === true) await stream(response, message, telling);
    else await sendWhole(response, message, telling);
    if (!response.writableEnded) response.end();
  } catch (error) {
    // A caller that hung up during a wait will ask again, and gets the same answer.
    if (!gone.signal.aborted) throw error;
  }
}

async function readRequest(request: IncomingMessage, response: ServerResponse): Promise<MessagesRequest | undefined> {
  const body = await readBody(request, MODEL_REQUEST_MAX_BYTES);
  if (body.kind === 'aborted') return undefined;
  if (body.kind === 'too_large') {
    sendModelError(
      response,
      413,
      'request_too_large',
      `Request exceeds the maximum size of ${MODEL_REQUEST_MAX_BYTES} bytes`,
    );
    return undefined;
  }
  let json: unknown;
  try {
    json = JSON.parse(body.bytes.toString('utf8'));
  } catch {
    // Told to the caller below, as the real API does.
    json = undefined;
  }
  const parsed = MessagesRequest.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const message =
    json === undefined ? 'The body is not JSON' : `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'does not fit'}`;
  sendModelError(response, 400, 'invalid_request_error', message);
  return undefined;
}

async function handle(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://loopback');
  const route = `${request.method} ${pathname}`;
  // CLIs probe the address without a key before their first call.
  if (route === 'HEAD /') {
    response.writeHead(200).end();
    return;
  }
  if (!carriesKey(request, served.options.key))
    return sendModelError(response, 401, 'authentication_error', 'invalid x-api-key');
  if (served.options.isHeld?.() === true) {
    request.resume();
    return sendHeld(response);
  }
  if (route === 'GET /v1/models') {
    const model = { type: 'model', id: 'scripted', display_name: 'Scripted model', created_at: '2026-01-01T00:00:00Z' };
    return sendJson(response, { data: [model], has_more: false, first_id: model.id, last_id: model.id });
  }
  if (route !== 'POST /v1/messages' && route !== 'POST /v1/messages/count_tokens') {
    return sendModelError(response, 404, 'not_found_error', `The scripted model has no ${route}`);
  }
  const body = await readRequest(request, response);
  if (body === undefined) return;
  if (pathname.endsWith('/count_tokens')) return sendJson(response, { input_tokens: inputTokensOf(body) });
  await answerMessages(served, body, response);
}

/** Starts the model on a loopback port. It holds no conversation: each request says where the script stands. */
export async function startScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const served: Served = { options, turnsDone: options.turnsDone ?? 0 };
  const server = createServer((request, response) => {
    handle(served, request, response).catch((error: unknown) => {
      sendModelError(
        response,
        500,
        'api_error',
        `The scripted model failed: ${error instanceof Error ? error.message : 'unknown'}`,
      );
    });
  });
  const url = await listenOnLoopback(server, options.port);
  const turnsTotal = options.scenario.turns.length;
  return {
    url,
    progress: () => ({ turnsDone: served.turnsDone, turnsTotal, exhausted: served.turnsDone >= turnsTotal }),
    stop: () => closeServer(server),
  };
}
