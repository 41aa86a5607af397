/** What the rest of the local platform knows of Lambda. */

/** The part of AWS's context object that handlers get here. */
export interface LambdaContext {
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  callbackWaitsForEmptyEventLoop: boolean;
  getRemainingTimeInMillis(): number;
}

export type LambdaHandler = (event: unknown, context: LambdaContext) => unknown;
/** Loads the module of an entry, such as `functions/entries/api.ts`. */
export type LoadEntry = (entry: string) => Promise<{ readonly handler: LambdaHandler }>;

export type InvokeSource = 'http' | 'websocket' | 'authorizer' | 'event' | 'schedule' | 'stream';

export type InvokeResult =
  | { readonly ok: true; readonly payload: unknown }
  | {
      readonly ok: false;
      readonly kind: 'error' | 'timeout' | 'throttled';
      readonly message: string;
      /** Class name of the handler's error, or Lambda's own, such as `Sandbox.Timedout`. */
      readonly errorType: string;
    };

export interface InvokeOptions {
  readonly source: InvokeSource;
}

/** One line of the platform's own log; function output goes where the handlers' logger writes. */
export type PlatformLog = (message: string, fields: Readonly<Record<string, unknown>>) => void;

/** Synchronous invocation (RequestResponse). */
export interface LambdaInvoker {
  /** Never throws for what a handler does; throws for a function that the topology does not have. */
  invoke(name: string, event: unknown, options: InvokeOptions): Promise<InvokeResult>;
}

export interface Lambda extends LambdaInvoker {
  /**
   * Asynchronous invocation (Event): accepted at once, run at least once, tried twice more after errors and for hours while
   * throttled, then dropped with a log line. `too_large` and `queue_full` are refusals: nothing was taken.
   */
  invokeAsync(name: string, event: unknown, options: InvokeOptions): 'accepted' | 'too_large' | 'queue_full';
  /** Resolves once nothing runs and no asynchronous event waits. */
  idle(): Promise<void>;
  /** Takes no asynchronous event any more, forgets waiting ones and waits up to `graceMs` for running handlers. */
  stop(graceMs?: number): Promise<void>;
}
