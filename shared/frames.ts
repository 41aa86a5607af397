/** Every WebSocket frame between runner, control plane and viewer (protocol.md), discriminated by `type`. */
export { API_VIEWER_ID, InputData } from './frame-parts.ts';
export {
  Assign,
  ControlToRunnerFrame,
  RunnerFrame,
  UploadGrant,
  UploadRefusal,
  UploadWish,
  WatcherList,
} from './runner-frames.ts';
export { ControlToViewerFrame, ViewerFrame } from './viewer-frames.ts';

export const PROTOCOL_VERSION = 1;
/** The oldest protocol a runner may speak; others are refused with `protocol_unsupported`. */
export const PROTOCOL_MIN = 1;
/** A viewer offers this and, beside it, its ticket; `$connect` echoes this one. */
export const VIEWER_SUBPROTOCOL = 'village.viewer.v1';
export const TICKET_SUBPROTOCOL_PREFIX = 'ticket.';
/** Header of a runner's dial: SHA-256 (hex) of the credential it will use next. */
export const NEXT_CREDENTIAL_HEADER = 'x-village-next-credential';

export type FrameOf<F extends { type: string }, T extends F['type']> = Extract<F, { type: T }>;
