/** One epoch of a session as a small control plane keeps it: its batches as ingest takes them, its grants, what its viewer shows. */
import { createHash } from 'node:crypto';
import { batchDigestInput } from '../../shared/batch.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import { RunnerEventSchema } from '../../shared/events.ts';
import type {
  Assign,
  ControlToRunnerFrame,
  FrameOf,
  RunnerFrame,
  UploadGrant,
  WatcherList,
} from '../../shared/frames.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import type { DesiredState, SessionConfig } from '../../shared/session.ts';

type Batch = FrameOf<RunnerFrame, 'runner_events'>;
type Output = FrameOf<RunnerFrame, 'terminal_output'>;
type WelcomeSession = FrameOf<ControlToRunnerFrame, 'welcome'>['sessions'][number];

export interface FakeSessionOptions {
  readonly config: SessionConfig;
  readonly epoch: number;
  /** Of an earlier epoch, and how long those ran. */
  readonly checkpoint?: Assign['checkpoint'];
  readonly ranMs?: number;
  readonly credentials: RunnerCredentials;
  readonly post: (frame: ControlToRunnerFrame) => void;
  readonly problem: (text: string) => void;
  /** Frames of every session. */
  readonly frames: readonly RunnerFrame[];
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
/** With these an epoch is over. */
const LAST_EVENTS = new Set(['session_ended', 'session_parked', 'epoch_drained']);

export class FakeSession {
  readonly options: FakeSessionOptions;
  /** Committed, in order. */
  readonly events: EventEnvelope[] = [];
  /** What came after the control plane had closed the epoch, and is kept beside it. */
  readonly annex: EventEnvelope[] = [];
  #isClosedHere = false;
  readonly granted = new Map<string, { sha256Base64: string; sizeBytes: number }>();
  readonly #digests = new Map<number, string>();
  desired: { desired: DesiredState; rev: number } = { desired: 'run', rev: 0 };
  watchers: WatcherList = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  isOpen = true;
  /** Its batches are lost on their way. */
  isDeaf = false;

  constructor(options: FakeSessionOptions) {
    this.options = options;
  }

  get sessionId(): string {
    return this.options.config.sessionId;
  }

  get epoch(): number {
    return this.options.epoch;
  }

  get capability(): string {
    return `capability-of-${this.sessionId}-${this.epoch}`;
  }

  assign(): Assign {
    const { sessionId, epoch, capability } = this;
    const { config, checkpoint = null, ranMs = 0 } = this.options;
    return {
      type: 'assign',
      sessionId,
      epoch,
      config,
      capability,
      taskDefinition: 'task:1',
      checkpoint,
      ranMs,
    };
  }

  /** What the next epoch goes on from. */
  checkpoint(url: (key: string) => string): Assign['checkpoint'] {
    const last = this.events.findLast(({ type }) => type === 'workspace_checkpointed');
    if (!last) return null;
    const { checkpointKey: key, sizeBytes, sha256 } = last;
    return { key: String(key), url: url(String(key)), sizeBytes: Number(sizeBytes), sha256: String(sha256) };
  }

  welcome(): WelcomeSession {
    const { sessionId, epoch, desired, watchers, isOpen } = this;
    return {
      sessionId,
      epoch,
      ackedRseq: this.events.length,
      open: isOpen,
      desired,
      decisions: [],
      watchers,
      grants: [],
    };
  }

  /** The control plane ends the epoch, whose runner is not asked. */
  close(): void {
    this.isOpen = false;
    this.#isClosedHere = true;
  }

  /** @param isPushed false: it is written, and the frame that says so is lost */
  ask(next: DesiredState, isPushed = true): void {
    this.desired = { desired: next, rev: this.desired.rev + 1 };
    if (!isPushed) return;
    this.options.post({ type: 'desired', sessionId: this.sessionId, epoch: this.epoch, ...this.desired });
  }

  setWatchers(next: WatcherList): void {
    this.watchers = next;
    this.options.post({ type: 'viewers', sessionId: this.sessionId, epoch: this.epoch, ...next });
  }

  /** Attaches as the page does after a cut: from where its output ends. */
  attach(viewerId: string): void {
    const { sessionId, epoch, watchers } = this;
    const { cols, rows } = this.options.config.terminal;
    this.options.post({
      ...{ type: 'attach', sessionId, epoch, rev: watchers.rev, viewerId, mode: 'control', cols, rows },
      controlTerm: watchers.controlTerm,
      from: { epoch, offset: this.#assembled().end },
    });
  }

  /** What a viewer that misses nothing shows: live output without a hole, by offset. */
  output(): string {
    return this.#assembled().text;
  }

  /** @returns the answer, as ingest gives it */
  take(frame: Batch, grantUrl: (path: string) => string): ControlToRunnerFrame {
    const { sessionId, epoch, events } = this;
    const { firstRseq } = frame;
    if (frame.capability !== this.capability) this.#problem(`batch ${firstRseq}: another capability`);
    const digest = sha256(batchDigestInput(frame));
    if (digest !== frame.digest) this.#problem(`batch ${firstRseq}: digest does not fit`);
    if (this.#isClosedHere && firstRseq > events.length) return this.#keepAside(frame);
    const isNew = events.length === firstRseq - 1;
    if (!isNew && this.#digests.get(firstRseq) !== digest && frame.events.length > 0)
      this.#problem(`batch ${firstRseq}: sent twice with other bytes`);
    if (firstRseq > events.length + 1) this.#problem(`batch ${firstRseq}: a gap after ${events.length}`);
    if (isNew) {
      if (frame.events.length > 0) this.#digests.set(firstRseq, digest);
      for (const event of frame.events) this.#commit(event);
    }
    const ackedRseq = events.length;
    const grants = this.#grantsOf(frame, grantUrl);
    const desired = this.desired.rev > 0 ? { desired: this.desired } : {};
    return { type: 'ack', sessionId, epoch, firstRseq, ackedRseq, headSeq: ackedRseq, grants, ...desired };
  }

  /** Each once, whatever is sent again. */
  #keepAside({ firstRseq, events }: Batch): ControlToRunnerFrame {
    const { sessionId, epoch, annex } = this;
    for (const event of events) if (annex.every(({ rseq }) => rseq !== event.rseq)) annex.push(event);
    return { type: 'nack', sessionId, epoch, firstRseq, reason: 'closed', expected: firstRseq + events.length };
  }

  #commit(event: EventEnvelope): void {
    const parsed = RunnerEventSchema.safeParse(event);
    if (!parsed.success) this.#problem(`${event.type}: ${parsed.error.message}`);
    if (event.rseq !== this.events.length + 1) this.#problem(`rseq ${event.rseq} after ${this.events.length}`);
    this.events.push(event);
    if (LAST_EVENTS.has(event.type)) this.isOpen = false;
  }

  #grantsOf({ uploads }: Batch, grantUrl: (path: string) => string): UploadGrant[] {
    return uploads.map(({ kind, number, sizeBytes, sha256Base64 }) => {
      const path = `/objects/${this.sessionId}/${kind}/${this.epoch}/${number}`;
      this.granted.set(path, { sizeBytes, sha256Base64 });
      return { kind, number, key: path, url: grantUrl(path), headers: { 'if-none-match': '*' }, expiresAtMs: 1 };
    });
  }

  #assembled(): { text: string; end: number } {
    const outputs = this.options.frames.filter(
      (frame): frame is Output =>
        frame.type === 'terminal_output' && frame.sessionId === this.sessionId && frame.epoch === this.epoch,
    );
    const bytes: Buffer[] = [];
    let end = outputs[0]?.offset ?? 0;
    for (const { offset, data } of outputs.toSorted((one, other) => one.offset - other.offset)) {
      const piece = Buffer.from(data);
      if (offset > end) break;
      if (offset + piece.length <= end) continue;
      bytes.push(piece.subarray(end - offset));
      end = offset + piece.length;
    }
    return { text: Buffer.concat(bytes).toString('utf8'), end };
  }

  #problem(text: string): void {
    this.options.problem(`${this.sessionId}#${this.epoch}: ${text}`);
  }
}
