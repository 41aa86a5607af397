/** Reads a stored chunk of the terminal, from any store and in any place: browser or command line. */
import { TranscriptChunk } from '../http.ts';
import { TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES } from '../limits.ts';

/** A store may already have undone the compression on the way (Content-Encoding). */
const unpack = async (body: ArrayBuffer): Promise<string> => {
  const bytes = new Uint8Array(body);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new TextDecoder().decode(bytes);
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (let sizeBytes = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    sizeBytes += value.byteLength;
    if (sizeBytes > TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES) {
      await reader.cancel();
      throw new Error('the chunk unpacks to more than a chunk may hold');
    }
    text += decoder.decode(value, { stream: true });
  }
};

/** `null` for JSON of another shape; throws for bytes that are no JSON, damaged gzip and chunks over the cap. */
export const readTranscriptChunk = async (body: ArrayBuffer): Promise<TranscriptChunk | null> => {
  const parsed = TranscriptChunk.safeParse(JSON.parse(await unpack(body)));
  return parsed.success ? parsed.data : null;
};
