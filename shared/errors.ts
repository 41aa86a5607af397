/** Every error code with its HTTP status, and the one error that use-cases throw for people. */

export const ERROR_CODES = {
  invalid_request: 400,
  invalid_json: 400,
  invalid_frame: 400,
  unknown_frame: 400,
  not_signed_in: 401,
  invalid_credential: 401,
  forbidden: 403,
  origin_not_allowed: 403,
  not_found: 404,
  conflict: 409,
  session_ended: 409,
  session_not_ready: 409,
  not_controller: 409,
  stale_epoch: 409,
  payload_too_large: 413,
  idempotency_mismatch: 422,
  provider_unavailable: 422,
  build_unavailable: 422,
  protocol_unsupported: 422,
  no_such_pool: 422,
  limit_reached: 429,
  too_many_viewers: 429,
  throttled: 429,
  internal: 500,
  upstream_failed: 502,
  unavailable: 503,
  input_unconfirmed: 504,
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

/** What clients get: HTTP as the body, WebSocket in an `error` frame. */
export interface ErrorBody {
  readonly code: ErrorCode;
  /** Says what to do, not only what is wrong. */
  readonly message: string;
  readonly requestId: string;
  /** Path into the request body, for `invalid_request`. */
  readonly path?: string;
}

export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly path: string | undefined;

  constructor(code: ErrorCode, message: string, options: { path?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.path = options.path;
  }

  get status(): number {
    return ERROR_CODES[this.code];
  }
}
