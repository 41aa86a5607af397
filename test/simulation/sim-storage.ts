/** What a simulated session stores as objects: transcript chunks and checkpoints, through the real uploads, and the events that name them. */
import type { SessionCore } from '../../runner-image/src/session/session-core.ts';
import type { Stored } from '../../runner-image/src/session/uploads.ts';
import type { Clock } from '../../shared/clock.ts';
import type { EventDraft } from '../../shared/events.ts';

export interface StorageOptions {
  readonly core: SessionCore;
  readonly clock: Clock;
  /** Bytes of terminal so far. */
  readonly offset: () => number;
  readonly record: (draft: EventDraft) => void;
}

export class SimStorage {
  readonly #options: StorageOptions;
  #checkpointKey: string | null = null;

  constructor(options: StorageOptions) {
    this.#options = options;
  }

  get checkpointKey(): string | null {
    return this.#checkpointKey;
  }

  /** What was printed since the last chunk. */
  async chunk(isUrgent: boolean, limitMs: number): Promise<void> {
    const { core, record } = this.#options;
    const { nextNumber: number, storedOffset: firstOffset } = core.transcript;
    const endOffset = this.#options.offset();
    if (endOffset === firstOffset) return;
    core.setTranscript({ nextNumber: number + 1, storedOffset: endOffset });
    const body = Buffer.from(`${number} ${firstOffset} ${endOffset}`);
    const stored = await this.#within(limitMs, core.uploads.store('transcript', number, body, isUrgent));
    if (stored?.kind === 'stored') {
      const { key, sha256, sizeBytes } = stored;
      record({ type: 'transcript_chunk_stored', number, firstOffset, endOffset, key, sizeBytes, sha256 });
    } else record({ type: 'stream_gap', fromOffset: firstOffset, toOffset: endOffset, reason: 'not stored' });
  }

  async checkpoint(limitMs: number): Promise<void> {
    const { core, record } = this.#options;
    const number = core.events.nextRseq;
    const body = Buffer.from(`checkpoint ${core.assign.epoch} ${number}`);
    const stored = await this.#within(limitMs, core.uploads.store('checkpoint', number, body, true));
    if (stored?.kind !== 'stored') return;
    const { key: checkpointKey, sha256, sizeBytes } = stored;
    this.#checkpointKey = checkpointKey;
    record({ type: 'workspace_checkpointed', checkpointKey, sha256, sizeBytes });
  }

  async #within(limitMs: number, work: Promise<Stored>): Promise<Stored | null> {
    const late = Promise.withResolvers<null>();
    const cancel = this.#options.clock.after(limitMs, () => late.resolve(null));
    const stored = await Promise.race([work, late.promise]);
    cancel();
    return stored;
  }
}
