/** Frames of viewers. */
import { ViewerFrame } from '../../shared/frames.ts';
import { platform } from '../aws/platform.ts';
import { viewerOf } from '../middleware/connections.ts';
import { frameEntry } from '../middleware/websocket.ts';
import { handleViewerFrame } from '../streams/handle-viewer-frame.ts';

export const handler = frameEntry(ViewerFrame, (frame, event) => handleViewerFrame(platform(), viewerOf(event), frame));
