/** What a command ends with when it does not succeed: the exit codes are a contract for scripts (experience.md). */

export const EXIT = { ok: 0, failed: 1, cancelled: 2, notFound: 3, notAuthorised: 4, refused: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const EXIT_OF_CODE: Readonly<Record<string, ExitCode>> = {
  not_found: EXIT.notFound,
  no_such_pool: EXIT.notFound,
  not_signed_in: EXIT.notAuthorised,
  invalid_credential: EXIT.notAuthorised,
  forbidden: EXIT.notAuthorised,
  origin_not_allowed: EXIT.notAuthorised,
  limit_reached: EXIT.refused,
  too_many_viewers: EXIT.refused,
  throttled: EXIT.refused,
  payload_too_large: EXIT.refused,
  cancelled: EXIT.cancelled,
};

/** `code` is one of shared/errors.ts, or of the command line itself: usage, unreachable, no_village, bad_answer, cancelled. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;
  readonly requestId: string | null;

  constructor(code: string, message: string, requestId: string | null = null) {
    super(message);
    this.code = code;
    this.requestId = requestId;
  }

  get exitCode(): ExitCode {
    return EXIT_OF_CODE[this.code] ?? EXIT.failed;
  }
}
