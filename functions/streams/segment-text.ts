/**
 * The events of a segment as one text. What they say again and again (names of fields, ids) is left out of a longer one by compressing it
 * against a fixed beginning: each begun KiB of a row is paid for, twice in a transaction and once more when it expires.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { SEGMENT_PLAIN_MAX_BYTES, SEGMENT_UNPACKED_MAX_BYTES } from '../../shared/limits.ts';

/** Rows are read with what they were written with: it never changes; another one gets a mark of its own. */
const MARK = 'z1:';
const DICTIONARY = Buffer.from(
  [
    '{"type":"workspace_checkpointed","checkpointKey":"tenants/","sizeBytes":,"sha256":"',
    '{"type":"transcript_chunk_stored","v":1,"number":,"firstOffset":,"endOffset":,"key":"tenants/","sizeBytes":,"sha256":"',
    '{"type":"diff_summary","files":[{"path":"","status":"modified","added":,"removed":,"binary":false}],"fileCount":,"linesAdded":,"linesRemoved":,"truncated":false,"key":"tenants/',
    '{"type":"session_state_changed","fromState":"running","toState":"","reason":{"code":"","message":"","hint":""}',
    '{"type":"model_usage","model":"","tokens":{"input":,"output":,"cacheRead":,"cacheWrite":}',
    '{"type":"provider_message","role":"assistant","text":"","type":"file_touched","files":[{"path":"src/","kind":"modified"}],"more":0}',
    '{"type":"turn_started","turn":,"prompt":"","type":"turn_finished","turn":,"tookMs":,"outcome":"done"},{"type":"provider_idle","turnsDone":',
    '{"type":"tool_requested","toolUseId":"","toolName":"Bash","summary":"","type":"tool_started","toolName":"Edit","type":"tool_finished","ok":true,"tookMs":',
    '{"type":"usage_tick","counters":{"agentMs":,"waitingMs":0,"frozenMs":0,"terminalBytes":,"filesTouched":,"commands":0},"final":false,"cliVersion":"","runnerBuild":"0.1.0","taskDefinition":"arn:aws:ecs:us-east-1::task-definition/village-runner:"',
    ',"v":1,"rseq":,"ts":17,"offset":,"seq":},{"v":1,"rseq":,"ts":17,"offset":,"type":"","seq":}]',
  ].join(''),
);

export const packEvents = (json: string): string => {
  const sizeBytes = Buffer.byteLength(json);
  /** What is written can be read: nothing is compressed that the bound below would refuse. */
  if (sizeBytes <= SEGMENT_PLAIN_MAX_BYTES || sizeBytes > SEGMENT_UNPACKED_MAX_BYTES) return json;
  const packed = MARK + deflateRawSync(json, { dictionary: DICTIONARY }).toString('base64');
  return packed.length < json.length ? packed : json;
};

/** @throws where the text is not what was written */
export const unpackEvents = (text: string): string =>
  text.startsWith(MARK)
    ? inflateRawSync(Buffer.from(text.slice(MARK.length), 'base64'), {
        dictionary: DICTIONARY,
        maxOutputLength: SEGMENT_UNPACKED_MAX_BYTES,
      }).toString('utf8')
    : text;
