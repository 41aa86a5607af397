/** Runs the seeds it is sent, one after the other, on a thread of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { PLANTS, type PlantName } from './plants.ts';
import { crashOnRejection, runSeed } from './run-seed.ts';

crashOnRejection();
const plantName: PlantName | null = workerData.plant;
parentPort?.on('message', async (seed: number) => {
  parentPort?.postMessage(await runSeed(seed, plantName === null ? {} : PLANTS[plantName].plant()));
});
