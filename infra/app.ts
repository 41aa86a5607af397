/** Entry of `cdk`: synthesises the cell and says how many live sessions it can hold. */
import { describeCeiling, SESSION_LOAD } from '../shared/quotas.ts';
import { cellApp } from './cell-app.ts';
import { cellQuotas } from './cell-quotas.ts';

cellApp().app.synth();
/** On the error stream: the standard one may be carrying the template. */
for (const line of describeCeiling(cellQuotas(), SESSION_LOAD)) console.error(line);
