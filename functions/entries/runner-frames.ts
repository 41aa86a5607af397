/** Frames of runners: ingest, and output on its way to viewers. */
import { RunnerFrame } from '../../shared/frames.ts';
import { platform } from '../aws/platform.ts';
import { runnerOf } from '../middleware/connections.ts';
import { countMetric } from '../middleware/observe.ts';
import { frameEntry } from '../middleware/websocket.ts';
import { handleRunnerFrame } from '../runners/handle-runner-frame.ts';
import { checkHello } from '../runners/hello.ts';

export const handler = frameEntry(
  RunnerFrame,
  async (frame, event) => {
    const reply = await handleRunnerFrame(platform(), runnerOf(event), frame);
    if (reply?.type === 'ack') countMetric('batchesCommitted');
    if (reply?.type === 'nack') countMetric('batchesRefused');
    return reply;
  },
  checkHello,
);
