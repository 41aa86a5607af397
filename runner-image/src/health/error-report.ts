/** Tells an error tracker that speaks Sentry's envelope protocol about unexpected errors: what broke and where, never what was worked on. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Clock, Random } from '../../../shared/clock.ts';
import { ERROR_REPORT_MAX_CHARS, ERROR_REPORT_TIMEOUT_MS, ERROR_REPORTS_MAX } from '../../../shared/limits.ts';

/** Where envelopes go: `https://<key>@<host>/<path>/<project>` taken apart. */
export interface Dsn {
  readonly envelopeUrl: string;
  readonly publicKey: string;
}

const PROJECT = /^(.*)\/(\d+)$/;

/** A DSN as configuration holds it; issues name what is wrong without repeating it. */
export const DsnText = z.string().transform((text, context): Dsn => {
  const url = URL.parse(text);
  const project = PROJECT.exec(url?.pathname ?? '');
  if (url === null || !/^https?:$/.test(url.protocol) || url.username === '' || project === null) {
    context.addIssue({ code: 'custom', message: 'must be https://<key>@<host>/<project number>' });
    return z.NEVER;
  }
  return { envelopeUrl: `${url.origin}${project[1]}/api/${project[2]}/envelope/`, publicKey: url.username };
});

export interface ErrorReportOptions {
  readonly dsn: Dsn;
  readonly release: string;
  readonly build: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Exact texts that are masked wherever they occur. */
  readonly secrets: readonly string[];
}

export interface ErrorReport {
  /** Sends in the background, once; beyond ERROR_REPORTS_MAX that wait it is dropped. Never throws. */
  report(message: string, error: unknown): void;
  /** Sends before it returns, at most ERROR_REPORT_TIMEOUT_MS, so that a process in an unknown state does nothing else meanwhile. */
  reportCrash(error: unknown): void;
  /** Resolves when nothing waits any more. */
  settled(): Promise<void>;
}

/** Says nothing to nobody: no DSN is set. */
export const NO_ERROR_REPORT: ErrorReport = { report() {}, reportCrash() {}, settled: () => Promise.resolve() };

const MASK = '[hidden]';
/** Credentials in addresses, their queries, and any long run of characters that tokens, keys and hashes are made of. */
const SECRET_LIKE: readonly [RegExp, string][] = [
  [/(:\/\/)[^/\s@]+@/g, `$1${MASK}@`],
  [/(:\/\/[^\s?]+)\?[^\s)'"]+/g, `$1?${MASK}`],
  [/\b(bearer|basic)\s+\S+/gi, `$1 ${MASK}`],
  [/[\w-]{32,}/g, MASK],
];

const masked = (text: string, secrets: readonly string[]): string => {
  let safe = text;
  for (const secret of secrets) if (secret !== '') safe = safe.replaceAll(secret, MASK);
  for (const [pattern, mask] of SECRET_LIKE) safe = safe.replace(pattern, mask);
  return safe.slice(0, ERROR_REPORT_MAX_CHARS);
};

const FRAME = /^\s*at (?:(.*?) \()?(.*?):(\d+):(\d+)\)?$/;

/** Frames of a V8 stack, oldest call first as the protocol wants them. */
const framesOf = (stack: string) =>
  stack
    .split('\n')
    .flatMap((line) => {
      const match = FRAME.exec(line);
      if (!match) return [];
      const [, name, filename = '', lineno, colno] = match;
      return [{ function: name ?? '?', filename, lineno: Number(lineno), colno: Number(colno) }];
    })
    .reverse();

type Level = 'error' | 'fatal';

const envelopeOf = (options: ErrorReportOptions, level: Level, message: string, error: unknown): string => {
  const { clock, random, release, build, secrets } = options;
  const eventId = random.hex(16);
  const nowMs = clock.nowMs();
  const safe = (text: string): string => masked(text, secrets);
  const exception =
    error instanceof Error
      ? [
          {
            type: safe(error.name),
            value: safe(error.message),
            stacktrace: { frames: framesOf(safe(error.stack ?? '')) },
          },
        ]
      : error === undefined
        ? []
        : [{ type: 'NotAnError', value: safe(String(error)) }];
  const event = {
    event_id: eventId,
    timestamp: nowMs / 1_000,
    platform: 'node',
    level,
    release,
    tags: { build },
    message: { formatted: safe(message) },
    ...(exception.length === 0 ? {} : { exception: { values: exception } }),
  };
  const lines = [{ event_id: eventId, sent_at: new Date(nowMs).toISOString() }, { type: 'event' }, event];
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
};

export const createErrorReport = (options: ErrorReportOptions): ErrorReport => {
  const { envelopeUrl, publicKey } = options.dsn;
  const headers = {
    'content-type': 'application/x-sentry-envelope',
    'x-sentry-auth': `Sentry sentry_version=7, sentry_client=village-runner/1, sentry_key=${publicKey}`,
  };
  let waiting = 0;
  let work: Promise<void> = Promise.resolve();
  const post = async (body: string): Promise<void> => {
    try {
      const signal = AbortSignal.timeout(ERROR_REPORT_TIMEOUT_MS);
      const answer = await fetch(envelopeUrl, { method: 'POST', headers, body, signal });
      await answer.body?.cancel();
    } catch {
      // One try: an error tracker that cannot be reached must not become an error of its own. The log has the line.
    }
  };
  return {
    report(message, error) {
      if (waiting >= ERROR_REPORTS_MAX) return;
      const body = envelopeOf(options, 'error', message, error);
      waiting += 1;
      work = work
        .then(() => post(body))
        .finally(() => {
          waiting -= 1;
        });
    },
    reportCrash(error) {
      const body = envelopeOf(options, 'fatal', 'the runner crashed', error);
      const sender = fileURLToPath(new URL('send-report.ts', import.meta.url));
      const input = JSON.stringify({ url: envelopeUrl, headers, body });
      // Its own environment is empty: it needs nothing of ours. A failure is like a lost report.
      spawnSync(process.execPath, [sender], {
        input,
        env: {},
        stdio: ['pipe', 'ignore', 'ignore'],
        timeout: ERROR_REPORT_TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
    },
    settled: () => work,
  };
};
