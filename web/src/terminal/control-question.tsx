/** Somebody asks for the keyboard: answered here, by whoever has it. */
import type { Presence } from '../../../shared/session.ts';
import { Icon } from '../ui/icon.tsx';
import { sentence } from '../ui/words.ts';
import { Banner } from './banner.tsx';
import { ToolButton } from './tool-button.tsx';
import { viewerWords } from './viewer-words.ts';

export const ControlQuestion = ({
  askedBy,
  own,
  onAnswer,
}: {
  askedBy: Presence | null;
  own: Presence | undefined;
  onAnswer: (allow: boolean) => void;
}) =>
  askedBy === null ? null : (
    <Banner testId="control-question" role="alert">
      <span className="inline-flex items-center gap-2 text-white">
        <Icon name="keyboard" className="size-4 text-[#63c9ab]" /> {sentence(viewerWords(askedBy, own))} asks for the
        keyboard.
      </span>
      <span className="flex gap-1.5">
        <ToolButton onClick={() => onAnswer(true)} data-testid="allow-control" className="bg-[#227860] text-white">
          Allow
        </ToolButton>
        <ToolButton onClick={() => onAnswer(false)} data-testid="keep-control" className="bg-white/10 text-white">
          Keep it
        </ToolButton>
      </span>
    </Banner>
  );
