/** What keeps the village from starting and a person can change: printed as one line, exit 1. */

export class VillageError extends Error {
  override readonly name = 'VillageError';
}
