/** The real page, the real village, the real Claude Code with a scripted model, and bash. */
import { tellStories } from './stories.ts';

tellStories();
