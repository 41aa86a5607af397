/** The same stories on a village whose messages overtake each other and come twice: what people see and what is stored is the same. */
import { test } from './fixtures.ts';
import { tellStories } from './stories.ts';

test.use({ startOptions: ['--chaos', 'seed=11,reorder=0.3,duplicate=0.2'] });
tellStories();
