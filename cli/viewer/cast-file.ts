/** A session's recording as a file: made of stored chunks as they come, so that no length of it needs memory. */
import { createWriteStream } from 'node:fs';
import { access, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EventPage } from '../../shared/http.ts';
import { TERMINAL_DEFAULT } from '../../shared/limits.ts';
import type { SessionView, StreamAddress } from '../../shared/session.ts';
import { AsciicastWriter } from '../../shared/viewer/asciicast.ts';
import { type CastMarker, CastMarkers } from '../../shared/viewer/cast-markers.ts';
import { storedChunks } from '../../shared/viewer/transcript-source.ts';
import type { ApiClient } from '../api-client.ts';
import { CliError } from '../cli-error.ts';
import { transcriptSource } from './transcript.ts';

const EVENTS_PER_PAGE = 1_000;

/** Every event of the session, looked through for what a recording marks. */
const readMarkers = async (api: ApiClient, sessionId: string): Promise<CastMarker[]> => {
  const markers = new CastMarkers();
  for (let fromSeq = 1; ; ) {
    const query = new URLSearchParams({ fromSeq: String(fromSeq), limit: String(EVENTS_PER_PAGE) });
    const page = await api.get(`/api/sessions/${sessionId}/events?${query}`, EventPage);
    markers.add(page.events);
    if (page.nextSeq > page.headSeq || page.nextSeq <= fromSeq) return markers.list();
    fromSeq = page.nextSeq;
  }
};

/** Lines of the recording, a few chunks in memory at a time. */
export async function* castLines(
  api: ApiClient,
  view: SessionView,
  from: StreamAddress,
  onUnreadable: () => void,
): AsyncGenerator<string> {
  const writer = new AsciicastWriter({ title: view.title, markers: await readMarkers(api, view.sessionId) });
  for await (const { chunk } of storedChunks(transcriptSource(api, view.sessionId), from)) {
    if (chunk === null) onUnreadable();
    else yield writer.next(chunk).join('');
  }
  yield writer.end(TERMINAL_DEFAULT).join('');
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    // Whatever is wrong with the path shows when it is written.
    () => false,
  );

/** Written beside and renamed: a file of this name is a whole recording. Throws CliError for a file that is there. */
export const writeCastFile = async (path: string, lines: AsyncIterable<string>): Promise<void> => {
  if (await exists(path)) throw new CliError('usage', `${path} exists: choose another file, or remove it first.`);
  const part = `${path}.part`;
  try {
    await pipeline(Readable.from(lines), createWriteStream(part, { mode: 0o600 }));
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof CliError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError('failed', `${path} could not be written: ${why}`);
  }
};
