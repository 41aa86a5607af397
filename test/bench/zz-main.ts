import { fairness } from './zz-fair.ts';

console.log(JSON.stringify(await fairness(Number(process.argv[2] ?? 60)), null, 1));
process.exit(0);
