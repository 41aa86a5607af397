/** What the session use-cases need of the outside world. */
import type { ControlToRunnerFrame, ControlToViewerFrame } from '../../shared/frames.ts';

export interface LaunchRequest {
  /** Idempotent for 24 h: session#epoch. */
  readonly clientToken: string;
  readonly startedBy: string;
  readonly taskDefinition: string;
  /** Only the address and the one-use token (facts: overrides reappear in task events). */
  readonly environment: Readonly<Record<string, string>>;
}
export type LaunchResult =
  | { readonly kind: 'launched'; readonly taskArn: string }
  /** `isPermanent`: what was asked is wrong, not the moment; the same launch is refused again. */
  | { readonly kind: 'refused'; readonly reason: string; readonly isPermanent?: boolean };
export type TaskStatus =
  | { readonly kind: 'live' }
  /** `stopCode` as ECS names it; `null` when it says none. */
  | {
      readonly kind: 'stopped';
      readonly why: string;
      readonly exitCode: number | null;
      readonly stopCode?: string | null;
    }
  | { readonly kind: 'unknown' };

export interface TaskLauncher {
  launch(request: LaunchRequest): Promise<LaunchResult>;
  status(taskArn: string): Promise<TaskStatus>;
  /** Stopping a task that is gone is a success. */
  stop(taskArn: string, reason: string): Promise<void>;
}

/** A task that ECS runs or is about to. */
export interface RunningTask {
  readonly taskArn: string;
  readonly startedBy: string | undefined;
}
export interface TaskLister {
  /** @param cursor of the page before; `null` for the first */
  listRunning(cursor: string | null): Promise<{ tasks: readonly RunningTask[]; cursor: string | null }>;
}

/** `gone`: the connection is closed; `slow`: its buffer is full or the account is throttled; `too_large`: never resend. */
export type PostResult = 'sent' | 'gone' | 'slow' | 'too_large';
export interface ConnectionSender<F> {
  post(connectionId: string, frame: F): Promise<PostResult>;
}
export interface ConnectionCloser {
  /** Closing what is closed is a success. */
  close(connectionId: string): Promise<void>;
}
export type RunnerSender = ConnectionSender<ControlToRunnerFrame>;
export type ViewerSender = ConnectionSender<ControlToViewerFrame>;

export interface ObjectStore {
  putJson(key: string, value: unknown): Promise<void>;
  /** `null` when there is no such object. */
  getJson(key: string): Promise<unknown>;
  /** Never over another object: `taken` when one has this key. The store checks the digest. */
  putOnce(request: {
    key: string;
    body: Uint8Array;
    sha256Base64: string;
    contentType?: string;
  }): Promise<'stored' | 'taken'>;
  /** `null` when there is no such object; of one larger than `maxBytes` its beginning, one byte more. */
  getBytes(key: string, maxBytes: number): Promise<Uint8Array | null>;
  /** Deleting what is gone is a success. */
  delete(key: string): Promise<void>;
  presignGet(key: string, ttlMs: number): Promise<string>;
  presignPut(request: {
    key: string;
    sizeBytes: number;
    sha256Base64: string;
    ttlMs: number;
  }): Promise<{ url: string; headers: Record<string, string> }>;
}
