/** Seeds that broke a promise once, with what was mended. What a seed does moves with the code: each finding has its own test beside it. */
export const KEPT_SEEDS = [
  { seed: 5, found: 'a crash between the final state and its note made the session end twice' },
  { seed: 13, found: 'a restarted runner took its start for a proof of its lease' },
  { seed: 101, found: 'a viewer that was pushed before the assignment was never known to the runner' },
  { seed: 1_045, found: 'the final state left without the event that ends the session' },
  { seed: 20_013, found: 'a second launch that was refused closed the epoch that the first one ran' },
] as const;
