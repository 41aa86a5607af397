/** Sizes and times that S3 itself fixes, so that a request it would refuse is refused here as well. */

/** UTF-8 bytes of an object key; longer is KeyTooLongError. */
export const KEY_MAX_BYTES = 1024;
/** Names and values of x-amz-meta-* together; larger is MetadataTooLarge. */
export const USER_METADATA_MAX_BYTES = 2 * 1024;
/** Entries of one listing page. */
export const LIST_MAX_KEYS = 1000;
/** Largest X-Amz-Expires. */
export const PRESIGN_MAX_SECONDS = 7 * 24 * 60 * 60;
/** Distance between a signed date and our clock; beyond it RequestTimeTooSkewed. */
export const CLOCK_SKEW_MAX_MS = 15 * 60_000;
/** One PUT. S3 takes 5 GiB; a local disk gets less, beyond it EntityTooLarge. The largest checkpoint fits. */
export const OBJECT_MAX_BYTES = 512 * 1024 * 1024;
/** One line of aws-chunked framing (size with extensions, or a trailer); longer is malformed. */
export const CHUNK_LINE_MAX_BYTES = 4 * 1024;
/** Trailers after an aws-chunked body. */
export const TRAILERS_MAX = 8;
