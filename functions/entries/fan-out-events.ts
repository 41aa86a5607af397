/** The events table's stream: committed events on their way to people who watch. */
import { platform } from '../aws/platform.ts';
import { imagesOf, type StreamEvent } from '../aws/stream-images.ts';
import { observed } from '../middleware/observe.ts';
import { fanOutEvents } from '../streams/fan-out-events.ts';

export const handler = observed(async (event: StreamEvent) => {
  await fanOutEvents(platform(), imagesOf(event));
});
