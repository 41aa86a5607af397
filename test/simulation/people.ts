/** People: they start sessions and repeat what got no answer, change their minds, and watch from pages that come and go. */

import type { SessionRef } from '../../functions/sessions/session-store.ts';
import { setDesired } from '../../functions/sessions/set-desired.ts';
import { startSession } from '../../functions/sessions/start-session.ts';
import { handleViewerFrame, viewerDisconnected } from '../../functions/streams/handle-viewer-frame.ts';
import { StartSessionBody } from '../../shared/http.ts';
import { PING_INTERVAL_MS } from '../../shared/limits.ts';
import type { DesiredState } from '../../shared/session.ts';
import type { Chance } from './chance.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

export const TENANT = 'acme';
const USER = 'ada';
/** Soon: people here do not wait for a quarter of an hour. */
const PARK_AFTER_MS = 20_000;

interface PeopleOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly control: ControlPlane;
  /** Where the next session is to run. */
  readonly pool: () => string;
  /** How long a page waits for a session without a runner before it asks again. */
  readonly attachAgainMs: number;
  /** Whether somebody else starts one in the same moment. */
  readonly mayBeTwo: () => boolean;
}

interface Viewer {
  readonly ref: SessionRef;
  readonly viewerId: string;
  connectionId: string;
  isOpen: boolean;
  /** An `attached` came on this connection, from a session with a runner. */
  isAttached: boolean;
  attachedAtMs: number;
}

export class People {
  readonly #options: PeopleOptions;
  readonly #viewers: Viewer[] = [];
  readonly #open = new Set<string>();
  #isStopping = false;
  #connections = 0;
  #sessions = 0;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** Viewers that were told for so long that they watch a live session. */
  attachedFor(minMs: number): readonly { readonly ref: SessionRef; readonly viewerId: string }[] {
    const { nowMs } = this.#options.scheduler;
    return this.#viewers.filter(
      ({ isOpen, isAttached, attachedAtMs }) => isOpen && isAttached && nowMs - attachedAtMs >= minMs,
    );
  }

  isConnected(connectionId: string): boolean {
    return this.#open.has(connectionId);
  }

  /** One person: session after session, until it is time to go home. */
  async begin(): Promise<void> {
    const { scheduler, chance } = this.#options;
    while (!this.#isStopping) {
      await scheduler.pause(chance.between(0, 60_000));
      if (this.#isStopping) return;
      const another = this.#options.mayBeTwo() ? this.#live(++this.#sessions) : null;
      this.#sessions += 1;
      await this.#live(this.#sessions);
      await another;
    }
  }

  async #live(number: number): Promise<void> {
    const { chance, faults } = this.#options;
    const pool = this.#options.pool();
    // Sent twice at once: somebody clicked again, or the gateway did.
    const again = faults.strikes('lambda_duplicate') ? this.#start(number, pool) : null;
    const ref = (await this.#start(number, pool)) ?? (await again);
    if (ref === null || this.#isStopping) return;
    const viewers = chance.is(0.6) ? chance.int(1, 2) : 0;
    for (let viewer = 0; viewer < viewers; viewer += 1) void this.#watch(ref, `view-${number}-${viewer}`);
    await this.#changeMind(ref);
  }

  /** Asks once more for the end of a session; tells whether that was taken. */
  async stop(ref: SessionRef): Promise<boolean> {
    return this.#ask(ref, 'stop');
  }

  /** From here on nobody begins anything. */
  goHome(): void {
    this.#isStopping = true;
  }

  async #start(number: number, pool: string): Promise<SessionRef | null> {
    const { scheduler, chance, control } = this.#options;
    const body = StartSessionBody.parse({
      ...{ provider: 'shell', repository: { url: 'https://git.test/acme/app.git' } },
      ...{ parkAfterMs: PARK_AFTER_MS, pool },
    });
    const starter = { tenantId: TENANT, userId: USER, idempotencyKey: `key-${number}` };
    for (let tries = 0; tries < 20; tries += 1) {
      const outcome = await control.invoke((ports) => startSession(ports, starter, body));
      if (outcome.kind === 'done') return { tenantId: TENANT, sessionId: outcome.value.config.sessionId };
      if (this.#isStopping) return null;
      await scheduler.pause(chance.between(500, 8_000));
    }
    return null;
  }

  async #changeMind(ref: SessionRef): Promise<void> {
    const { scheduler, chance } = this.#options;
    const wishes: DesiredState[] = Array.from({ length: chance.int(0, 4) }, () => chance.pick(['pause', 'run', 'run']));
    if (chance.is(0.3)) wishes.push('stop');
    for (const wish of [...wishes, 'run'] as const) {
      await scheduler.pause(chance.between(1_000, 90_000));
      if (this.#isStopping) return;
      // Nobody gives up without an answer.
      for (let tries = 0; tries < 4 && !(await this.#ask(ref, wish)); tries += 1)
        await scheduler.pause(chance.between(500, 5_000));
    }
  }

  async #ask(ref: SessionRef, desired: DesiredState): Promise<boolean> {
    const outcome = await this.#options.control.invoke((ports) => setDesired(ports, ref, desired, USER));
    return outcome.kind === 'done';
  }

  async #watch(ref: SessionRef, viewerId: string): Promise<void> {
    const { chance } = this.#options;
    const viewer: Viewer = { ref, viewerId, connectionId: '', isOpen: false, isAttached: false, attachedAtMs: 0 };
    this.#viewers.push(viewer);
    while (!this.#isStopping) {
      await this.#idle(chance.between(200, viewer.isOpen ? 60_000 : 30_000));
      if (this.#isStopping) break;
      if (!viewer.isOpen) void this.#stay(viewer, this.#connect(viewer));
      else if (chance.is(0.5)) this.#reload(viewer);
      else await this.#leave(viewer);
    }
  }

  /** Everybody who watches loads the page again: lists of before and after are on their way together. */
  reloadAll(): void {
    for (const viewer of this.#viewers) if (viewer.isOpen && viewer.isAttached) this.#reload(viewer);
  }

  /** Until something else is to be done, or it is time to go home. */
  async #idle(forMs: number): Promise<void> {
    const { scheduler } = this.#options;
    const untilMs = scheduler.nowMs + forMs;
    while (!this.#isStopping && scheduler.nowMs < untilMs)
      await scheduler.pause(Math.min(1_000, untilMs - scheduler.nowMs));
  }

  /** The old connection ends and the new one attaches at the same time. */
  #reload(viewer: Viewer): void {
    void this.#leave(viewer);
    void this.#stay(viewer, this.#connect(viewer));
  }

  #connect(viewer: Viewer): string {
    this.#connections += 1;
    viewer.connectionId = `v${this.#connections}`;
    viewer.isOpen = true;
    viewer.isAttached = false;
    this.#open.add(viewer.connectionId);
    return viewer.connectionId;
  }

  /** Attaches until it is told that it watches; then pings. */
  async #stay(viewer: Viewer, connectionId: string): Promise<void> {
    const { scheduler, control, chance } = this.#options;
    const { ref, viewerId } = viewer;
    const who = { connectionId, tenantId: ref.tenantId, userId: USER };
    const isHere = () => viewer.isOpen && viewer.connectionId === connectionId;
    const mode = chance.is(0.5) ? 'control' : 'watch';
    while (isHere()) {
      const attach = { type: 'attach', sessionId: ref.sessionId, viewerId, mode, takeOver: false } as const;
      const outcome = await control.invoke((ports) => handleViewerFrame(ports, who, { ...attach, cols: 80, rows: 24 }));
      if (!isHere()) return;
      const reply = outcome.kind === 'done' ? outcome.value : null;
      viewer.isAttached = reply?.type === 'attached' && reply.live;
      viewer.attachedAtMs = scheduler.nowMs;
      if (viewer.isAttached) break;
      await scheduler.pause(this.#options.attachAgainMs);
    }
    while (isHere()) {
      await scheduler.pause(PING_INTERVAL_MS);
      if (!isHere()) return;
      const attached = [{ sessionId: ref.sessionId, viewerId }];
      await control.invoke((ports) => handleViewerFrame(ports, who, { type: 'ping', ts: 1, attached }));
    }
  }

  /** With a word or without one; of a cut connection the gateway tells sometimes. */
  async #leave(viewer: Viewer): Promise<void> {
    const { control, chance } = this.#options;
    const { ref, viewerId, connectionId } = viewer;
    const who = { connectionId, tenantId: ref.tenantId, userId: USER };
    viewer.isAttached = false;
    viewer.isOpen = false;
    this.#open.delete(connectionId);
    if (chance.is(0.5)) {
      const detach = { type: 'detach', sessionId: ref.sessionId, viewerId } as const;
      await control.invoke((ports) => handleViewerFrame(ports, who, detach));
    }
    if (chance.is(0.8)) await control.invoke((ports) => viewerDisconnected(ports, who));
  }
}
